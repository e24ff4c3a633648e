/* connection: see connection.h. SPDX-License-Identifier: MIT */
#include "comet/connection.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "comet/goodbye.h"
#include "comet/joined.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"
#include "common/base/peer.h"
#include "common/wire/grants.h"

static const char *const drop_reasons[DROP_MAX] = {
	[DROP_QUEUE_FULL] = "queue_full",
	[DROP_CLOSED] = "closed",
	[DROP_GONE] = "gone",
	[DROP_NO_MEMORY] = "no_memory",
};

static const char *const limits[LIMIT_MAX] = {
	[LIMIT_PACKETS] = "packets",         [LIMIT_BYTES] = "bytes",       [LIMIT_FRAMES] = "frames",
	[LIMIT_BEFORE_AUTH] = "before_auth", [LIMIT_RENEWALS] = "renewals", [LIMIT_ACCEPTS] = "accepts",
	[LIMIT_UPSTREAM] = "upstream",       [LIMIT_JOINS] = "joins",
};

COUNTER_LABELS(DROPPED, drop_reasons, DROP_MAX);
COUNTER_LABELS(LIMITED, limits, LIMIT_MAX);

/* How long the peer gets to read the goodbye and close, once everything was written. */
#define LINGER_NS CLOCK_SEC

/* Pushes accepted for a key before it moved stand before the news of its move in this comet's stream, but not before it in every
 * queue here, nor where a logic of an older release writes: so long one may be on its way to where the key was. */
#define MOVED_NS (CLOCK_SEC / 2)

int connection_new(struct transport *t, const struct connection_options *opt, struct connection **out)
{
	static _Atomic uint64_t last_id;
	struct connection *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return -ENOMEM;
	if ((rc = channel_init(&c->channel, &opt->channel)) < 0) {
		free(c);
		return rc;
	}
	c->magic = CONNECTION_MAGIC;
	atomic_init(&c->refs, 1);
	c->id = atomic_fetch_add(&last_id, 1) + 1;
	c->born_ns = clock_now_ns();
	c->opt = opt;
	c->dialect = DIALECT_V2;
	atomic_init(&c->in_handshake, true);
	atomic_init(&c->expires_ns, INT64_MAX);
	atomic_init(&c->moved_ns, INT64_MAX);
	atomic_init(&c->wake_ns, INT64_MAX);
	c->place.connection = c;
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
	/* Messages that came between the last write and the close, or had no dispatcher yet. */
	count_by_add(COUNT_DROPPED, DROP_CLOSED, channel_fini(&c->channel));
	transport_free(&c->transport);
	c->magic = 0;
	seat_fini(&c->seat);
	free(c->refusal);
	free(c->left_room);
	grants_free(&c->grants);
	grants_free(&c->asked);
	joins_free(&c->joins);
	free(c);
}

void connection_dropped(struct connection *c, enum drop_reason why, uint32_t n)
{
	count_by_add(COUNT_DROPPED, why, n);
	atomic_fetch_add_explicit(&c->dropped, n, memory_order_relaxed);
}

void connection_explain(struct connection *c, const char *words)
{
	if (c->refusal == NULL && words[0] != '\0')
		c->refusal = strdup(words);
}

static bool give_reason(struct connection *c, enum close_reason why)
{
	enum close_reason none = CLOSE_NONE;

	return atomic_compare_exchange_strong(&c->reason, &none, why);
}

bool connection_shutdown(struct connection *c, enum close_reason why)
{
	if (!give_reason(c, why))
		return false; /* the first to come closes the channel */
	/* Before the channel is closed: the dispatcher then says goodbye, and files an earlier deadline that must stand. */
	if (c->deadline.timer != NULL)
		timer_set(&c->deadline, clock_now_ns() + c->opt->write_timeout_ns + LINGER_NS);
	channel_close(&c->channel);
	return true;
}

void connection_abort(struct connection *c, enum close_reason why)
{
	(void)give_reason(c, why);
	/* First, so that whoever closes the channel says nothing more. */
	transport_shutdown(c->transport);
	channel_close(&c->channel);
}

/* While somebody writes or the socket is full, it is pinged later. */
#define PING_AGAIN_NS CLOCK_SEC

/* Of what ends it, or wakes its reader. */
static int64_t end_ns(const struct connection *c)
{
	int64_t due = atomic_load(&c->heartbeat_due_ns), wake = atomic_load(&c->wake_ns);
	int64_t expires, moved;

	if (wake < due)
		due = wake;
	if (atomic_load(&c->in_handshake))
		return due;
	expires = atomic_load(&c->expires_ns);
	moved = atomic_load(&c->moved_ns);
	if (expires < due)
		due = expires;
	return moved < due ? moved : due;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Not while it is being closed: then the deadline is the patience of the goodbye, and must not be put off. A thread that closes
 * sets the reason before the deadline, and one that brings an end forward sets that before: hence the second looks. */
static void file_for(struct connection *c, int64_t due_ns)
{
	int64_t end;

	if (connection_is_closing(c))
		return;
	timer_set(&c->deadline, due_ns);
	for (; (end = end_ns(c)) < due_ns; due_ns = end)
		timer_set(&c->deadline, end);
	if (connection_is_closing(c))
		timer_set(&c->deadline, clock_now_ns() + c->opt->write_timeout_ns);
}

static void file_deadline(struct connection *c)
{
	int64_t end = end_ns(c);

	file_for(c, atomic_load(&c->in_handshake) ? end : earlier(end, transport_ping_due_ns(c->transport)));
}

int connection_begin_handshake(struct connection *c, struct timer *timer, int64_t until_ns)
{
	atomic_store(&c->heartbeat_due_ns, until_ns);
	return timer_add(timer, &c->deadline, until_ns);
}

/* When the heartbeat is due stands before anybody may look at it: the handshake's deadline may come in between. */
void connection_end_handshake(struct connection *c)
{
	atomic_store(&c->heartbeat_due_ns, clock_now_ns() + c->heartbeat_ns);
	atomic_store(&c->in_handshake, false);
	file_deadline(c);
}

void connection_heard(struct connection *c)
{
	atomic_store(&c->heartbeat_due_ns, clock_now_ns() + c->heartbeat_ns);
	file_deadline(c);
}

void connection_excuse(struct connection *c, int64_t ns)
{
	int64_t until = clock_now_ns() + ns;

	if (until <= atomic_load(&c->heartbeat_due_ns))
		return;
	atomic_store(&c->heartbeat_due_ns, until);
	file_deadline(c);
}

int64_t connection_suspend_heartbeat(struct connection *c)
{
	return atomic_load(&c->in_handshake) ? 0 : atomic_exchange(&c->heartbeat_due_ns, INT64_MAX);
}

void connection_resume_heartbeat(struct connection *c, int64_t due_ns)
{
	if (atomic_load(&c->in_handshake))
		return;
	atomic_store(&c->heartbeat_due_ns, due_ns);
	file_deadline(c);
}

void connection_set_lifetime(struct connection *c, int64_t lifetime_ms)
{
	int64_t expires;

	/* A time beyond the clock's range is for ever, too. */
	if (lifetime_ms <= 0 || __builtin_mul_overflow(lifetime_ms, CLOCK_MS, &expires) ||
	    __builtin_add_overflow(expires, clock_now_ns(), &expires))
		expires = INT64_MAX;
	atomic_store(&c->expires_ns, expires);
	if (!atomic_load(&c->in_handshake))
		file_deadline(c);
}

static void ping(struct connection *c, int64_t now)
{
	int rc = -EAGAIN;

	if (channel_seize(&c->channel)) {
		rc = transport_ping(c->transport);
		channel_give_back(&c->channel);
	}
	if (rc == -ETIMEDOUT)
		(void)connection_shutdown(c, CLOSE_PONG_TIMEOUT);
	else if (rc < 0)
		file_for(c, earlier(end_ns(c), now + PING_AGAIN_NS));
	else
		file_deadline(c);
}

void connection_park_until(struct connection *c, int64_t until_ns)
{
	atomic_store(&c->wake_ns, until_ns);
	file_deadline(c);
	park_asleep(c->opt->park, &c->parked);
}

/* A reader that is about to sleep, and does not yet, will not. */
static void wake_if_due(struct connection *c, int64_t now)
{
	if (atomic_load(&c->wake_ns) > now)
		return;
	atomic_store(&c->wake_ns, INT64_MAX);
	park_wake(c->opt->park, &c->parked);
}

/* The reader may have put the end off while this was on its way: then it is not the end. */
static void end_if_due(struct connection *c)
{
	bool in = !atomic_load(&c->in_handshake);
	int64_t now = clock_now_ns();

	wake_if_due(c, now);
	if (!in && atomic_load(&c->heartbeat_due_ns) <= now)
		connection_abort(c, CLOSE_HANDSHAKE_TIMEOUT);
	else if (in && atomic_load(&c->moved_ns) <= now)
		(void)connection_shutdown(c, CLOSE_REPLACED);
	else if (in && atomic_load(&c->expires_ns) <= now)
		(void)connection_shutdown(c, CLOSE_AUTH_EXPIRED);
	else if (in && atomic_load(&c->heartbeat_due_ns) <= now)
		(void)connection_shutdown(c, CLOSE_HEARTBEAT_TIMEOUT);
	else if (in && transport_ping_due_ns(c->transport) <= now)
		ping(c, now);
	else
		file_deadline(c);
}

void connection_expired(struct timer_entry *e)
{
	struct connection *c = OBJ_OF(e, struct connection, deadline);

	OBJ_CHECK(c, CONNECTION_MAGIC);
	if (connection_is_closing(c))
		transport_shutdown(c->transport);
	else
		end_if_due(c);
}

static int write_one_op_6(struct connection *c, enum close_reason why, enum transport_wait wait)
{
	const char *words = close_reason_has_words(why) ? c->refusal : NULL;
	char body[GOODBYE_BYTES];
	struct packet p = {.op = OP_DISCONNECT, .body = (uint8_t *)body};
	struct haul h = {.answers = {&p}, .n_answers = 1, .skip_bytes = c->op_6_begun};
	int rc;

	p.ver = dialect_is_v2(c->dialect) ? 1 : 0;
	p.body_bytes = (uint32_t)goodbye_body(c->opt->goodbye, why, words, body, sizeof(body));
	rc = transport_write(c->transport, &h, c->dialect, wait);
	c->op_6_why = (uint8_t)why;
	c->op_6_begun = rc == 0 ? 0 : (uint32_t)h.begun_bytes;
	return rc;
}

/* One that was begun comes first, even if it says something else. */
static int write_op_6(struct connection *c, enum close_reason why, enum transport_wait wait)
{
	int rc = 0;

	if (c->op_6_begun > 0 && c->op_6_why != (uint8_t)why)
		rc = write_one_op_6(c, (enum close_reason)c->op_6_why, wait);
	return rc < 0 ? rc : write_one_op_6(c, why, wait);
}

void connection_replaced(struct connection *c)
{
	if (!atomic_load(&c->sent_away)) {
		(void)connection_shutdown(c, CLOSE_REPLACED);
		return;
	}
	atomic_store(&c->moved_ns, clock_now_ns() + MOVED_NS);
	/* Until then there is no heartbeat due, which would look as if it were overdue; the reader files this, too. */
	if (!atomic_load(&c->in_handshake))
		file_deadline(c);
}

void connection_forewarn(struct connection *c)
{
	atomic_store(&c->sent_away, true);
	channel_notice(&c->channel);
}

int connection_say_leave(struct connection *c, enum transport_wait wait)
{
	int rc = write_op_6(c, CLOSE_DRAINING, wait);

	c->forewarned = c->forewarned || rc == 0;
	return rc;
}

/* A client that was told to leave has perhaps replaced this connection by its next. */
static bool owes_op_6(const struct connection *c, enum close_reason why)
{
	return close_reason_code(why) != 0 && !(c->forewarned && (why == CLOSE_DRAINING || why == CLOSE_REPLACED));
}

int connection_say_goodbye(struct connection *c, enum transport_wait wait)
{
	enum close_reason why = atomic_load(&c->reason);

	if (!c->said && owes_op_6(c, why) && write_op_6(c, why, wait) == -EAGAIN)
		return -EAGAIN;
	c->said = true;
	if (transport_finish_writing(c->transport, close_reason_ws_code(why), close_reason_name(why), wait) == -EAGAIN)
		return -EAGAIN;
	if (c->deadline.timer != NULL)
		timer_set(&c->deadline, clock_now_ns() + LINGER_NS);
	return 0;
}

const char *connection_peer(const struct connection *c, char peer[TRANSPORT_PEER_BYTES])
{
	peer_text(transport_peer(c->transport), true, peer, TRANSPORT_PEER_BYTES);
	return peer;
}
