/* reader: see reader.h. On the reader's thread. What counts the parked is done before parking: afterwards the connection may be
 * gone. SPDX-License-Identifier: MIT */
#include "comet/reader.h"

#include <errno.h>

#include "comet/dispatch.h"
#include "common/base/clock.h"
#include "common/base/cores.h"
#include "common/base/counters.h"

int reader_wait_for_bytes(struct connection *c)
{
	int rc;

	if (!reader_parks(c))
		return -EAGAIN; /* a socket that blocks does not say so: it is broken like any other */
	count_add(COUNT_PARKED, 1);
	if ((rc = transport_park(c->transport, c->opt->park, &c->parked)) == 0)
		return READER_PARKED;
	count_add(COUNT_PARKED, -1);
	return rc;
}

static int sleep_until_woken(struct connection *c)
{
	count_add(COUNT_PARKED, 1);
	park_asleep(c->opt->park, &c->parked);
	return READER_PARKED;
}

int reader_wait_for_slot(struct connection *c, struct packet **p)
{
	int rc = channel_ring_set(&c->channel, p);

	return rc == -EAGAIN ? sleep_until_woken(c) : rc;
}

int reader_wait_for_queue(struct connection *c, bool in_hand)
{
	int rc;

	if (channel_half_is_free(&c->channel))
		return 0;
	/* As long as a write may take; it asks again each time that some has gone. */
	connection_excuse(c, c->opt->write_timeout_ns + c->heartbeat_ns);
	if ((rc = channel_wait_for_half(&c->channel)) != -EAGAIN)
		return rc;
	c->in_hand = in_hand;
	return sleep_until_woken(c);
}

void reader_hold_until(struct connection *c, int64_t until_ns)
{
	if (until_ns <= c->held_until_ns)
		return;
	c->held_until_ns = until_ns;
	connection_excuse(c, until_ns - clock_now_ns() + c->heartbeat_ns);
}

int reader_hold_back(struct connection *c)
{
	if (c->held_until_ns == 0)
		return 0;
	if (!reader_parks(c)) {
		if (channel_pause(&c->channel, c->held_until_ns) < 0)
			return -EPIPE;
	} else if (channel_expect(&c->channel) < 0) {
		return -EPIPE;
	} else if (clock_now_ns() < c->held_until_ns) {
		count_add(COUNT_PARKED, 1);
		connection_park_until(c, c->held_until_ns);
		return READER_PARKED;
	}
	c->held_until_ns = 0;
	return 0;
}

int reader_yield(struct connection *c)
{
	count_add(COUNT_PARKED, 1);
	park_yield(c->opt->park, &c->parked);
	return READER_PARKED;
}

int reader_join(struct connection *c)
{
	return channel_join(&c->channel) ? 0 : sleep_until_woken(c);
}

/* Whoever waits for a turn is not late with its heartbeat, which may stand behind the packet in hand: none is due until it has had it. */
int reader_block(struct connection *c, bool waits)
{
	bool waited = c->in_hand;
	int64_t due_ns;

	c->in_hand = false;
	if (!waits || !reader_parks(c))
		return 0;
	if (channel_expect(&c->channel) < 0)
		return -EPIPE;
	c->in_hand = true;
	count_add(COUNT_PARKED, 1);
	due_ns = connection_suspend_heartbeat(c);
	if (!park_block(c->opt->park, &c->parked))
		return READER_PARKED;
	connection_resume_heartbeat(c, waited ? clock_now_ns() + c->heartbeat_ns : due_ns);
	count_add(COUNT_PARKED, -1);
	c->in_hand = false;
	return 0;
}

void reader_unblock(struct connection *c, bool waits)
{
	if (waits && reader_parks(c))
		park_unblock(c->opt->park);
}

void reader_resumed(void)
{
	count_add(COUNT_PARKED, -1);
	count(COUNT_WAKES);
}

void reader_leaves(struct connection *c)
{
	if (reader_parks(c))
		park_forget(c->opt->park, &c->parked);
}

int reader_start_park(struct server *s, void (*resume)(struct parked *p))
{
	const struct park_options opt = {
		.name = "waiter",
		.kind = THREAD_CONNECTION,
		/* One core serves others while it signs a TLS handshake. */
		.waiters = cores() > 1 ? cores() : 2,
		.blocked_max = (unsigned)s->cfg->logic_calls,
		.resume = resume,
	};
	int rc = park_start(&opt, &s->connection.park);

	if (rc == 0)
		s->connection.channel.calls = &dispatch_calls;
	return rc;
}

void reader_stop_park(struct server *s)
{
	if (s->connection.park == NULL)
		return;
	park_stop(&s->connection.park);
	s->connection.channel.calls = NULL;
}
