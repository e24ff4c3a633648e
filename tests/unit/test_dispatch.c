/* Tests of comet/dispatch, over a fake transport. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "comet/dispatch.h"
#include "common/base/counters.h"
#include "common/base/thread.h"
#include "tests/unit/fake_transport.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

static struct fake_transport peer;
static struct connection *c;
static pthread_t dispatcher;
static bool running;

static void begin(bool use_baton)
{
	const struct channel_options opt = {.ring_size = 4, .queue_max = 64, .use_baton = use_baton};

	fake_init(&peer);
	c = fake_connection(&peer, "key", 1, &opt);
}

static void start(void)
{
	assert_int_equal(channel_open(&c->channel), 0);
	assert_int_equal(pthread_create(&dispatcher, NULL, dispatch, c), 0);
	running = true;
}

static void join(void)
{
	assert_int_equal(pthread_join(dispatcher, NULL), 0);
	running = false;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	if (running) {
		connection_abort(c, CLOSE_CLIENT_LEFT);
		join();
	}
	connection_unref(&c);
	fake_fini(&peer);
	return 0;
}

static int push(int32_t op)
{
	struct message *m;
	int rc;

	assert_int_equal(message_new(op, "body", 4, &m), 0);
	rc = channel_push(&c->channel, m, false);
	message_unref(&m);
	return rc;
}

static void put(int32_t seq)
{
	struct packet *p;

	assert_int_equal(channel_ring_set(&c->channel, &p), 0);
	*p = (struct packet){.ver = 1, .op = OP_HEARTBEAT_REPLY, .seq = seq};
	(void)channel_ring_set_adv(&c->channel);
}

static enum channel_baton baton(void)
{
	enum channel_baton who;

	lock_take(&c->channel.lock);
	who = c->channel.baton;
	lock_drop(&c->channel.lock);
	return who;
}

static bool is_stalled(void)
{
	bool stalled;

	lock_take(&c->channel.lock);
	stalled = c->channel.stalled;
	lock_drop(&c->channel.lock);
	return stalled;
}

static unsigned writes(void)
{
	unsigned n;

	(void)pthread_mutex_lock(&peer.mutex);
	n = peer.writes;
	(void)pthread_mutex_unlock(&peer.mutex);
	return n;
}

/* ---- the dispatcher ---- */

static void all_that_waits_goes_out_in_one_write(void **state)
{
	int64_t writes_before = counters_read(COUNT_WRITES), answered = counters_read(COUNT_ANSWERED),
		delivered = counters_read(COUNT_DELIVERED);

	(void)state;
	begin(true);
	put(1);
	put(2);
	for (int32_t i = 0; i < 10; i++)
		assert_int_equal(push(i), 0);
	start();
	until(baton() == BATON_FREE);
	assert_int_equal(writes(), 1);
	assert_int_equal(fake_got(&peer), 12);
	assert_int_equal(fake_packet(&peer, 0)->seq, 1);
	assert_int_equal(fake_packet(&peer, 1)->seq, 2);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(fake_packet(&peer, 2 + i)->op, i);
	assert_int_equal(counters_read(COUNT_WRITES), writes_before + 1);
	assert_int_equal(counters_read(COUNT_ANSWERED), answered + 2);
	assert_int_equal(counters_read(COUNT_DELIVERED), delivered + 10);
}

static void what_comes_while_it_writes_goes_out_next(void **state)
{
	(void)state;
	begin(true);
	fake_hold_writes(&peer, true);
	assert_int_equal(push(1), 0);
	start();
	until(fake_is_writing(&peer));
	assert_int_equal(push(2), 0);
	assert_int_equal(push(3), 0);
	fake_hold_writes(&peer, false);
	until(baton() == BATON_FREE);
	assert_int_equal(writes(), 2);
	assert_int_equal(fake_got(&peer), 3);
}

static void a_full_socket_shows_as_stalled_until_the_peer_reads_on(void **state)
{
	(void)state;
	begin(true);
	fake_take(&peer, 1);
	assert_int_equal(push(1), 0);
	assert_int_equal(push(2), 0);
	assert_int_equal(push(3), 0);
	start();
	until(is_stalled());
	/* First without waiting, then waiting: no third write comes before the peer reads. */
	until(writes() == 2);
	fake_take(&peer, FAKE_UNLIMITED);
	until(baton() == BATON_FREE);
	assert_false(is_stalled());
	assert_int_equal(writes(), 2);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_packet(&peer, i)->op, i + 1);
}

static void when_the_channel_closes_the_goodbye_follows_what_was_queued(void **state)
{
	(void)state;
	begin(true);
	assert_int_equal(push(1), 0);
	start();
	(void)connection_shutdown(c, CLOSE_KICKED);
	join();
	assert_int_equal(fake_got(&peer), 2);
	assert_int_equal(fake_packet(&peer, 0)->op, 1);
	assert_int_equal(fake_packet(&peer, 1)->op, OP_DISCONNECT);
	assert_true(fake_is_finished(&peer));
	assert_false(fake_is_shut(&peer));
}

static void assert_failed_write_ends_it(int rc, enum close_reason why)
{
	int64_t before;

	begin(true);
	fake_fail_writes(&peer, rc);
	if (rc == -ETIMEDOUT)
		fake_take(&peer, 0);
	before = counters_read_by(COUNT_DROPPED, DROP_CLOSED);
	assert_int_equal(push(1), 0);
	assert_int_equal(push(2), 0);
	put(3);
	start();
	join();
	assert_int_equal(atomic_load(&c->reason), why);
	assert_true(fake_is_shut(&peer));
	assert_int_equal(fake_got(&peer), 0);
	assert_int_equal(counters_read_by(COUNT_DROPPED, DROP_CLOSED), before + 2);
	assert_int_equal(push(4), -EPIPE);
}

static void a_broken_connection_is_ended_and_what_is_queued_is_dropped_and_counted(void **state)
{
	(void)state;
	assert_failed_write_ends_it(-EPIPE, CLOSE_WRITE_FAILED);
}

static void a_peer_that_does_not_read_in_time_is_ended_so_too(void **state)
{
	(void)state;
	assert_failed_write_ends_it(-ETIMEDOUT, CLOSE_WRITE_TIMEOUT);
}

static void *wait_for_slot(void *arg)
{
	struct packet *p;

	*(int *)arg = channel_ring_set(&c->channel, &p);
	return NULL;
}

/* The Go original says: must ensure all channel message discard, for reader won't blocking Signal. */
static void a_failed_write_frees_a_reader_that_waits_for_a_slot(void **state)
{
	pthread_t reader;
	int rc = 0;

	(void)state;
	begin(true);
	fake_hold_writes(&peer, true);
	for (int32_t i = 0; i < 4; i++)
		put(i);
	start();
	assert_int_equal(pthread_create(&reader, NULL, wait_for_slot, &rc), 0);
	until(fake_is_writing(&peer));
	fake_fail_writes(&peer, -ECONNRESET);
	fake_hold_writes(&peer, false);
	assert_int_equal(pthread_join(reader, NULL), 0);
	assert_int_equal(rc, -EPIPE);
	join();
}

/* ---- whoever got the baton ---- */

static void let_the_dispatcher_sleep(void)
{
	start();
	until(baton() == BATON_FREE);
}

static void who_pushes_writes_by_itself_while_the_dispatcher_sleeps(void **state)
{
	(void)state;
	begin(true);
	let_the_dispatcher_sleep();
	assert_int_equal(push(1), 1);
	dispatch_now(c);
	assert_int_equal(fake_got(&peer), 1);
	assert_int_equal(baton(), BATON_FREE);
}

static void what_its_write_leaves_the_dispatcher_writes(void **state)
{
	(void)state;
	begin(true);
	let_the_dispatcher_sleep();
	fake_take(&peer, 1);
	assert_int_equal(push(1), 1);
	assert_int_equal(push(2), 0);
	dispatch_now(c);
	assert_int_equal(fake_got(&peer), 1);
	fake_take(&peer, FAKE_UNLIMITED);
	until(baton() == BATON_FREE);
	assert_int_equal(fake_got(&peer), 2);
	assert_int_equal(fake_packet(&peer, 1)->op, 2);
}

static void a_write_of_its_that_fails_is_the_dispatchers_to_judge(void **state)
{
	(void)state;
	begin(true);
	let_the_dispatcher_sleep();
	fake_fail_writes(&peer, -ECONNRESET);
	assert_int_equal(push(1), 1);
	dispatch_now(c);
	join();
	assert_int_equal(atomic_load(&c->reason), CLOSE_WRITE_FAILED);
	assert_true(fake_is_shut(&peer));
}

static void a_close_while_it_writes_is_followed_by_the_dispatchers_goodbye(void **state)
{
	(void)state;
	begin(true);
	let_the_dispatcher_sleep();
	assert_int_equal(push(1), 1);
	(void)connection_shutdown(c, CLOSE_KICKED);
	dispatch_now(c);
	join();
	assert_int_equal(fake_got(&peer), 2);
	assert_int_equal(fake_packet(&peer, 0)->op, 1);
	assert_int_equal(fake_packet(&peer, 1)->op, OP_DISCONNECT);
}

/* ---- with parking ---- */

#define MANY 17 /* more than a writer's turns */

static const struct transport_ops *its_ops;
static unsigned more;

/* Something comes during each write; the last takes its time. */
static int write_while_more_comes(struct transport *t, struct haul *h, enum dialect dialect, enum transport_wait wait)
{
	if (more++ < MANY - 1)
		(void)push((int32_t)more);
	else
		fake_hold_writes(&peer, true);
	return its_ops->write(t, h, dialect, wait);
}

static void who_hands_on_after_its_turns_says_nothing_of_the_socket(void **state)
{
	const struct channel_options opt = {
		.ring_size = 4, .queue_max = 64, .use_baton = true, .calls = &dispatch_calls};
	struct transport_ops ops;
	bool stalled;

	(void)state;
	fake_init(&peer);
	c = fake_connection(&peer, "key", 1, &opt);
	its_ops = peer.base.ops;
	ops = *its_ops;
	ops.write = write_while_more_comes;
	peer.base.ops = &ops;
	more = 0;
	assert_int_equal(push(0), 0);
	dispatch_now(c);
	until(fake_is_writing(&peer));
	stalled = is_stalled();
	fake_hold_writes(&peer, false);
	until(baton() == BATON_FREE);
	until(thread_reap() == 0);
	peer.base.ops = its_ops;
	assert_false(stalled);
	assert_int_equal(fake_got(&peer), MANY);
}

/* ---- all at once ---- */

#define PUSHES 500

static void *push_many(void *arg)
{
	int32_t first = (int32_t)(intptr_t)arg;

	for (int32_t i = 0; i < PUSHES; i++) {
		struct message *m;
		int rc;

		if (message_new(first + i, NULL, 0, &m) < 0)
			abort();
		while ((rc = channel_push(&c->channel, m, false)) == -ENOBUFS)
			(void)until_is_late(&(struct timespec){0});
		if (rc == 1)
			dispatch_now(c);
		message_unref(&m);
	}
	return NULL;
}

/* The peer reads between one and seven packets more; returns how many it has. */
static unsigned read_a_few(void)
{
	unsigned got = fake_got(&peer);

	fake_take(&peer, 1 + got % 7);
	return got;
}

/* A socket that is full now and again, two threads that push: all arrives, in the order of each. */
static void pushers_and_dispatcher_share_one_socket(void **state)
{
	int32_t next[2] = {1000, 2000};
	pthread_t pushers[2];

	(void)state;
	begin(true);
	let_the_dispatcher_sleep();
	for (intptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&pushers[i], NULL, push_many, (void *)(1000 * (i + 1))), 0);
	until(read_a_few() == 2 * PUSHES);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(pushers[i], NULL), 0);
	for (unsigned i = 0; i < 2 * PUSHES; i++) {
		int32_t op = fake_packet(&peer, i)->op;

		assert_int_equal(op, next[op / 1000 - 1]++);
	}
}

#define dispatch_test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		dispatch_test(all_that_waits_goes_out_in_one_write),
		dispatch_test(what_comes_while_it_writes_goes_out_next),
		dispatch_test(a_full_socket_shows_as_stalled_until_the_peer_reads_on),
		dispatch_test(when_the_channel_closes_the_goodbye_follows_what_was_queued),
		dispatch_test(a_broken_connection_is_ended_and_what_is_queued_is_dropped_and_counted),
		dispatch_test(a_peer_that_does_not_read_in_time_is_ended_so_too),
		dispatch_test(a_failed_write_frees_a_reader_that_waits_for_a_slot),
		dispatch_test(who_pushes_writes_by_itself_while_the_dispatcher_sleeps),
		dispatch_test(what_its_write_leaves_the_dispatcher_writes),
		dispatch_test(a_write_of_its_that_fails_is_the_dispatchers_to_judge),
		dispatch_test(a_close_while_it_writes_is_followed_by_the_dispatchers_goodbye),
		dispatch_test(who_hands_on_after_its_turns_says_nothing_of_the_socket),
		dispatch_test(pushers_and_dispatcher_share_one_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
