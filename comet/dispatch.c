/* dispatch: see dispatch.h. SPDX-License-Identifier: MIT */
#include "comet/dispatch.h"

#include <errno.h>

#include "comet/whitelist.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"

static int write_what_waits(struct connection *c, enum transport_wait *how);
static int write_haul(struct connection *c, struct haul *h, enum transport_wait wait);
static int forewarn(struct connection *c);
static void discard_until_finish(struct connection *c);

void *dispatch(void *arg)
{
	struct connection *c = arg;
	enum transport_wait how = TRANSPORT_NOW;
	int rc;

	OBJ_CHECK(c, CONNECTION_MAGIC);
	for (;;) {
		trace(c, EVENT_TRACE_DISPATCH_WAITS, NULL);
		if (channel_ready(&c->channel) == CHANNEL_FINISH)
			break;
		if ((rc = write_what_waits(c, &how)) < 0 || (rc = forewarn(c)) < 0)
			goto failed;
	}
	trace(c, EVENT_TRACE_DISPATCH_ENDS, NULL);
	connection_say_goodbye(c, TRANSPORT_WAIT);
	return NULL;

failed:
	/* Nothing more can be said to this peer. The shutdown wakes the reader, and the reader ends the story. */
	connection_abort(c, close_reason_of_write(rc));
	discard_until_finish(c);
	return NULL;
}

/* A function of its own, so that a dispatcher that sleeps has no haul on its stack: that is what lets the stack of an idle
 * connection be a single page. */
__attribute__((noinline)) static int write_what_waits(struct connection *c, enum transport_wait *how)
{
	struct haul haul;
	int rc = 0;

	if (channel_take(&c->channel, &haul))
		rc = write_haul(c, &haul, *how);
	channel_done(&c->channel, &haul, rc == -EAGAIN);
	/* A socket that takes no more makes this a slow consumer, for pushers to see: only now wait for it. */
	*how = rc == -EAGAIN ? TRANSPORT_WAIT : TRANSPORT_NOW;
	return rc == -EAGAIN ? 0 : rc;
}

/* One look at the clock a write, however many messages it took. */
static void count_written(const struct haul *h)
{
	unsigned n = h->answers_done + h->messages_done;
	int64_t now_ns;

	if (n == 0)
		return;
	for (unsigned i = 0; i < h->answers_done; i++)
		count_add(COUNT_ANSWERED, h->answers[i]->kind == PACKET_WHOLE);
	count_add(COUNT_DELIVERED, h->messages_done);
	count_observe(COUNT_BATCH, n);
	if (h->messages_done == 0)
		return;
	now_ns = clock_now_ns();
	for (unsigned i = 0; i < h->messages_done; i++)
		count_observe(COUNT_PUSH_WRITE, now_ns - h->messages[i]->born_ns);
}

/* All that waits in one write: that is the flush, and the only one. */
static int write_haul(struct connection *c, struct haul *h, enum transport_wait wait)
{
	int rc;

	trace(c, EVENT_TRACE_WRITE_BEGIN, h->n_answers > 0 ? h->answers[0] : NULL);
	rc = transport_write(c->transport, h, c->dialect, wait);
	trace(c, rc == 0 ? EVENT_TRACE_WRITE_END : EVENT_TRACE_WRITE_FAILED, NULL);
	count(COUNT_WRITES);
	count_written(h);
	return rc;
}

/* Op 6 that this server is going away, if the client is to be told. */
static int forewarn(struct connection *c)
{
	return channel_take_notice(&c->channel) ? connection_say_leave(c) : 0;
}

/* The mailbox must be emptied, or the reader would wait for a slot of the ring without end. */
__attribute__((noinline)) static void discard_until_finish(struct connection *c)
{
	struct haul haul;

	while (channel_ready(&c->channel) != CHANNEL_FINISH) {
		(void)channel_take(&c->channel, &haul);
		haul.answers_done = haul.n_answers;
		haul.messages_done = haul.n_messages;
		count_by_add(COUNT_DROPPED, DROP_CLOSED, haul.n_messages);
		channel_done(&c->channel, &haul, false);
	}
}

void dispatch_now(struct connection *c)
{
	struct haul haul;
	int rc = 0;

	if (channel_take(&c->channel, &haul))
		rc = write_haul(c, &haul, TRANSPORT_NOW);
	/* The dispatcher finds out for itself what is wrong: it is the one that may end the connection's writing. */
	channel_done_and_release(&c->channel, &haul, rc < 0);
}
