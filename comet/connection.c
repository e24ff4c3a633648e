/* connection: see connection.h. SPDX-License-Identifier: MIT */
#include "comet/connection.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/counters.h"
#include "common/obj.h"

/* How long the peer gets to read the goodbye and close, once everything was written. */
#define LINGER_NS CLOCK_SEC

int connection_new(struct transport *t, const struct channel_options *opt, int64_t write_timeout_ns,
		   struct connection **out)
{
	static _Atomic uint64_t last_id;
	struct connection *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return -ENOMEM;
	if ((rc = channel_init(&c->channel, opt)) < 0) {
		free(c);
		return rc;
	}
	c->magic = CONNECTION_MAGIC;
	atomic_init(&c->refs, 1);
	c->id = atomic_fetch_add(&last_id, 1) + 1;
	c->born_ns = clock_now_ns();
	c->write_timeout_ns = write_timeout_ns;
	c->dialect = DIALECT_V2;
	atomic_init(&c->in_handshake, true);
	c->transport = t;
	*out = c;
	return 0;
}

struct connection *connection_ref(struct connection *c)
{
	OBJ_CHECK(c, CONNECTION_MAGIC);
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void connection_unref(struct connection **connection)
{
	struct connection *c = *connection;

	OBJ_CHECK(c, CONNECTION_MAGIC);
	*connection = NULL;
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
		return;
	/* What came between the last write and the close, or had no dispatcher yet. */
	count_by_add(COUNT_DROPPED, DROP_CLOSED, channel_fini(&c->channel));
	c->transport->ops->free(&c->transport);
	c->magic = 0;
	free(c->key);
	free(c->refusal);
	free(c);
}

void connection_label_counters(void)
{
	static const char *const names[DROP_MAX] = {
		[DROP_QUEUE_FULL] = "queue_full",
		[DROP_CLOSED] = "closed",
		[DROP_GONE] = "gone",
		[DROP_NO_MEMORY] = "no_memory",
	};

	counters_label(COUNT_DROPPED, names, DROP_MAX);
}

static bool give_reason(struct connection *c, enum close_reason why)
{
	enum close_reason none = CLOSE_NONE;

	return atomic_compare_exchange_strong(&c->reason, &none, why);
}

bool connection_shutdown(struct connection *c, enum close_reason why)
{
	if (!give_reason(c, why))
		return false; /* who came first closes the channel */
	/* Before the channel is closed: the dispatcher then says goodbye, and files an earlier deadline that must stand. */
	if (c->deadline.timer != NULL)
		timer_set(&c->deadline, clock_now_ns() + c->write_timeout_ns + LINGER_NS);
	channel_close(&c->channel);
	return true;
}

void connection_abort(struct connection *c, enum close_reason why)
{
	(void)give_reason(c, why);
	channel_close(&c->channel);
	c->transport->ops->shutdown(c->transport);
}

void connection_expired(struct timer_entry *e)
{
	struct connection *c = OBJ_OF(e, struct connection, deadline);

	OBJ_CHECK(c, CONNECTION_MAGIC);
	if (connection_is_closing(c))
		c->transport->ops->shutdown(c->transport);
	else if (atomic_load(&c->in_handshake))
		connection_abort(c, CLOSE_HANDSHAKE_TIMEOUT);
	else
		(void)connection_shutdown(c, CLOSE_HEARTBEAT_TIMEOUT);
}

void connection_say_goodbye(struct connection *c, enum transport_wait wait)
{
	enum close_reason why = atomic_load(&c->reason);
	char body[256];
	struct packet p = {.op = OP_DISCONNECT, .body = (uint8_t *)body};

	p.ver = c->dialect == DIALECT_V2 ? 1 : 0;
	p.body_bytes = (uint32_t)close_reason_body(why, c->refusal, body, sizeof(body));
	if (close_reason_code(why) != 0)
		(void)transport_write_packet(c->transport, &p, c->dialect, wait);
	c->transport->ops->finish_writing(c->transport);
	if (c->deadline.timer != NULL)
		timer_set(&c->deadline, clock_now_ns() + LINGER_NS);
}

const char *connection_peer(const struct connection *c, char peer[TRANSPORT_PEER_BYTES])
{
	c->transport->ops->peer(c->transport, true, peer, TRANSPORT_PEER_BYTES);
	return peer;
}
