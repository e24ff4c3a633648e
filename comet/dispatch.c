/* dispatch: see dispatch.h. SPDX-License-Identifier: MIT */
#include "comet/dispatch.h"

#include <errno.h>
#include <stddef.h>

#include "comet/whitelist.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/thread.h"

static int write_notice(struct connection *c, enum transport_wait wait);
static int write_what_waits(struct connection *c, enum transport_wait *how);
static int write_haul(struct connection *c, struct haul *h, enum transport_wait wait);
static void give_up(struct connection *c, enum close_reason why);
static void discard_until_finish(struct connection *c);

/* A writer that is no dispatcher writes again when more has come meanwhile; after so often a dispatcher goes on. */
#define TURNS 16

void *dispatch(void *arg)
{
	struct connection *c = arg;
	enum transport_wait how = TRANSPORT_NOW;
	enum channel_event event;
	int rc;

	OBJ_CHECK(c, CONNECTION_MAGIC);
	for (;;) {
		trace(c, EVENT_TRACE_DISPATCH_WAITS, NULL);
		if ((event = channel_ready(&c->channel)) != CHANNEL_READY)
			break;
		if ((rc = write_what_waits(c, &how)) < 0) {
			give_up(c, close_reason_of_write(rc));
			return NULL;
		}
	}
	if (event == CHANNEL_IDLE)
		return NULL;
	trace(c, EVENT_TRACE_DISPATCH_ENDS, NULL);
	(void)connection_say_goodbye(c, TRANSPORT_WAIT);
	channel_end(&c->channel);
	return NULL;
}

/* Nothing more can be said to this peer. The shutdown wakes the reader, and the reader ends the story. */
static void give_up(struct connection *c, enum close_reason why)
{
	connection_abort(c, why);
	discard_until_finish(c);
	channel_end(&c->channel);
}

/* A function of its own, so that a dispatcher that sleeps has no haul on its stack: that is what lets the stack of an idle
 * connection be a single page. */
__attribute__((noinline)) static int write_what_waits(struct connection *c, enum transport_wait *how)
{
	struct haul haul;
	int rc = write_notice(c, *how);

	if (channel_take(&c->channel, &haul) && rc == 0)
		rc = write_haul(c, &haul, *how);
	channel_done(&c->channel, &haul, rc == -EAGAIN);
	/* A socket that takes no more makes this a slow consumer, for pushers to see: only now wait for it. */
	*how = rc == -EAGAIN ? TRANSPORT_WAIT : TRANSPORT_NOW;
	return rc == -EAGAIN ? 0 : rc;
}

/* Op 6 that this server is going away, if the client is to be told. It comes first: once it is begun nothing may come between. */
static int write_notice(struct connection *c, enum transport_wait wait)
{
	bool due = channel_take_notice(&c->channel);
	int rc = 0;

	if (due || c->op_6_begun > 0)
		rc = connection_say_leave(c, wait);
	if (rc == -EAGAIN)
		channel_notice(&c->channel); /* still due */
	return rc;
}

/* One look at the clock a write, however many messages it took. */
static void count_written(struct connection *c, const struct haul *h)
{
	unsigned n = h->answers_done + h->messages_done;
	int64_t now_ns;

	if (n == 0)
		return;
	for (unsigned i = 0; i < h->answers_done; i++)
		count_add(COUNT_ANSWERED, h->answers[i]->kind == PACKET_WHOLE);
	count_add(COUNT_DELIVERED, h->messages_done);
	atomic_fetch_add_explicit(&c->delivered, h->messages_done, memory_order_relaxed);
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
	count_written(c, h);
	return rc;
}

/* The mailbox must be emptied, or the reader would wait for a slot of the ring without end. */
__attribute__((noinline)) static void discard_until_finish(struct connection *c)
{
	struct haul haul;

	while (channel_ready(&c->channel) != CHANNEL_FINISH) {
		(void)channel_take(&c->channel, &haul);
		haul.answers_done = haul.n_answers;
		haul.messages_done = haul.n_messages;
		connection_dropped(c, DROP_CLOSED, haul.n_messages);
		channel_done(&c->channel, &haul, false);
	}
}

/* ---- the thread ---- */

static void *run(void *arg)
{
	struct connection *c = arg;

	(void)dispatch(c);
	connection_unref(&c);
	return NULL;
}

int dispatch_start(struct connection *c)
{
	struct connection *its = connection_ref(c);
	int rc = thread_spawn_unjoined(THREAD_CONNECTION, "dispatcher", run, its);

	if (rc < 0)
		connection_unref(&its);
	else
		count(COUNT_DISPATCHERS_STARTED);
	return rc;
}

void dispatch_say_no_thread(struct connection *c, int rc)
{
	static struct log_limit limit = LOG_LIMIT(1);
	char peer[TRANSPORT_PEER_BYTES], text[256];

	thread_limit_text(text, sizeof(text));
	LOG_LIMITED(LOG_ERROR, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_CONNECTION_WITHOUT_THREAD),
		    log_str("error", err_text(rc)), log_str("limit", text));
	(void)connection_shutdown(c, rc == -ENOMEM ? CLOSE_NO_MEMORY : CLOSE_NO_THREAD);
}

static struct connection *owner_of(struct channel *ch)
{
	return OBJ_OF(ch, struct connection, channel);
}

/* The baton is the dispatcher's, and there is none yet. */
static void start(struct channel *ch)
{
	struct connection *c = owner_of(ch);
	int rc = dispatch_start(c);

	if (rc == 0)
		return;
	dispatch_say_no_thread(c, rc);
	give_up(c, CLOSE_NO_THREAD);
}

/* ---- whoever got the baton ---- */

/* What waits, once. True: again, the baton is still ours. */
static bool write_now(struct connection *c, bool last_turn)
{
	struct haul haul;
	int rc = write_notice(c, TRANSPORT_NOW);

	if (channel_take(&c->channel, &haul) && rc == 0)
		rc = write_haul(c, &haul, TRANSPORT_NOW);
	if (rc < 0 && rc != -EAGAIN && c->channel.calls != NULL) {
		channel_done(&c->channel, &haul, false);
		channel_dispatch_here(&c->channel);
		give_up(c, close_reason_of_write(rc));
		return false;
	}
	switch (channel_done_and_release(&c->channel, &haul, rc < 0)) {
	case CHANNEL_IDLE:
		return false;
	case CHANNEL_READY:
		if (!last_turn)
			return true;
		channel_dispatch_here(&c->channel);
		start(&c->channel);
		return false;
	case CHANNEL_FINISH:
		break;
	}
	if (connection_say_goodbye(c, TRANSPORT_NOW) == -EAGAIN)
		start(&c->channel);
	else
		channel_end(&c->channel);
	return false;
}

void dispatch_now(struct connection *c)
{
	for (unsigned turn = 1; write_now(c, turn == TURNS); turn++)
		;
}

static void write_for(struct channel *ch)
{
	dispatch_now(owner_of(ch));
}

static void wake_reader(struct channel *ch)
{
	struct connection *c = owner_of(ch);

	park_wake(c->opt->park, &c->parked);
}

const struct channel_calls dispatch_calls = {.write = write_for, .dispatch = start, .wake = wake_reader};
