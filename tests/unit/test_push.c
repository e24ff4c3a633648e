/* Tests of comet/push, over fake transports. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/dispatch.h"
#include "comet/feed.h"
#include "comet/joined.h"
#include "comet/push.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"
#include "tests/unit/until.h"

#define MEMBERS 12

static struct stage stage;
static struct fake_transport peers[MEMBERS];
static struct connection *c[MEMBERS];
static char keys[MEMBERS][16];
static struct push *push;

/* Twelve members over the four buckets; the first six in one room. */
static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	free(stage.cfg.stream_users);
	stage.cfg.stream_users = strdup("50/24h");
	/* What a pusher writes itself must not meet a full queue here. */
	stage.cfg.protocol_svr_proto = 4096;
	stage_up(&stage);
	for (unsigned i = 0; i < MEMBERS; i++) {
		fake_init(&peers[i]);
		(void)snprintf(keys[i], sizeof(keys[i]), "key-%u", i);
		c[i] = stage_member(&stage, &peers[i], keys[i], i < 6 ? "live://1" : "");
	}
	return 0;
}

/* The stream of the only user. */
static const char his[] = "\0017";

/* As AUTH and an empty replay leave it: it has the stream, and hears. */
static void have_stream(struct connection *one)
{
	struct feed_asked asked = {.room = his};
	struct joined *own;

	assert_int_equal(joins_new(&one->joins), 0);
	one->dialect = DIALECT_V2S;
	one->joins->has_own = true;
	own = &one->joins->own;
	own->member.connection = one;
	feed_hold(&stage.server.feeds, &asked, 1, 0);
	assert_int_equal(asked.rc, 0);
	own->feed = asked.feed;
	feed_enter(&stage.server.feeds, own->feed, &own->member);
	atomic_store(&own->member.after, 0);
}

static void lose_stream(struct connection *one)
{
	struct joined *own = one->joins != NULL ? &one->joins->own : NULL;

	if (own == NULL || own->feed == NULL)
		return;
	feed_leave(&stage.server.feeds, own->feed, &own->member);
	feed_release(&stage.server.feeds, &own->feed);
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MEMBERS; i++)
		fake_hold_writes(&peers[i], false);
	if (push != NULL)
		push_stop(&push);
	seam_reset();
	for (unsigned i = 0; i < MEMBERS; i++) {
		lose_stream(c[i]);
		stage_leave(&stage, &c[i]);
		fake_fini(&peers[i]);
	}
	stage_down(&stage);
	return 0;
}

static void start(unsigned threads, unsigned queue_max)
{
	assert_int_equal(push_start(&stage.server, threads, queue_max, &push), 0);
}

static int push_to(enum wire_target target, const char *const *to, size_t n_keys, const char *room, int32_t op)
{
	struct wire_push p = {.target = target, .keys = to, .n_keys = n_keys, .room = room};
	int rc;

	assert_int_equal(message_new(op, "hello", 5, &p.message), 0);
	rc = push_accept(push, &p);
	message_unref(&p.message);
	return rc;
}

static int push_to_key(unsigned i, int32_t op)
{
	return push_to(WIRE_KEYS, (const char *const[]){keys[i]}, 1, NULL, op);
}

static int kick(unsigned i, const uint64_t *session, enum wire_reason reason)
{
	const struct wire_push p = {.target = WIRE_KICK,
				    .keys = (const char *const[]){keys[i]},
				    .sessions = session,
				    .n_keys = 1,
				    .reason = reason};

	return push_accept(push, &p);
}

static int64_t refused(unsigned why)
{
	return counters_read_by(COUNT_PUSHES_REFUSED, why);
}

enum { QUEUE_FULL, NO_MEMORY }; /* the labels of comet_pushes_refused_total */

/* ---- targets ---- */

static void a_push_to_keys_reaches_those_and_no_others(void **state)
{
	const char *const to[] = {keys[1], keys[4], keys[9]};
	int64_t before = counters_read_by(COUNT_PUSHES, WIRE_KEYS);

	(void)state;
	start(2, 16);
	assert_int_equal(push_to(WIRE_KEYS, to, 3, NULL, 1000), 0);
	push_stop(&push);
	for (unsigned i = 0; i < MEMBERS; i++)
		assert_int_equal(fake_got(&peers[i]), i == 1 || i == 4 || i == 9);
	assert_string_equal(fake_packet(&peers[1], 0)->body, "hello");
	assert_int_equal(counters_read_by(COUNT_PUSHES, WIRE_KEYS), before + 1);
}

static void a_key_that_is_not_here_is_counted(void **state)
{
	const char *const to[] = {"nobody", keys[1]};
	int64_t before = counters_read_by(COUNT_DROPPED, DROP_GONE);

	(void)state;
	start(2, 16);
	assert_int_equal(push_to(WIRE_KEYS, to, 2, NULL, 1000), 0);
	push_stop(&push);
	assert_int_equal(fake_got(&peers[1]), 1);
	assert_int_equal(counters_read_by(COUNT_DROPPED, DROP_GONE), before + 1);
}

static void a_push_to_a_room_reaches_it_in_every_bucket_and_is_not_filtered(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MEMBERS; i++)
		c[i]->channel.accepts.all = false;
	start(3, 16);
	assert_int_equal(push_to(WIRE_ROOM, NULL, 0, "live://1", 1000), 0);
	assert_int_equal(push_to(WIRE_ROOM, NULL, 0, "live://nobody", 1000), 0);
	push_stop(&push);
	for (unsigned i = 0; i < MEMBERS; i++)
		assert_int_equal(fake_got(&peers[i]), i < 6);
}

static void a_push_to_all_reaches_those_who_accept_it(void **state)
{
	int64_t before = counters_read(COUNT_FILTERED);

	(void)state;
	c[3]->channel.accepts.all = false;
	start(2, 16);
	assert_int_equal(push_to(WIRE_ALL, NULL, 0, NULL, 1000), 0);
	push_stop(&push);
	for (unsigned i = 0; i < MEMBERS; i++)
		assert_int_equal(fake_got(&peers[i]), i != 3);
	assert_int_equal(counters_read(COUNT_FILTERED), before + 1);
}

static void a_push_to_all_with_a_speed_is_paced(void **state)
{
	struct wire_push p = {.target = WIRE_ALL, .speed = 1000000};

	(void)state;
	start(1, 16);
	assert_int_equal(message_new(1000, NULL, 0, &p.message), 0);
	assert_int_equal(push_accept(push, &p), 0);
	message_unref(&p.message);
	for (unsigned i = 0; i < MEMBERS; i++)
		until(fake_got(&peers[i]) == 1);
}

static void more_threads_than_buckets_are_not_started(void **state)
{
	int64_t before = counters_read(COUNT_THREADS);

	(void)state;
	start(64, 16);
	assert_int_equal(counters_read(COUNT_THREADS), before + 4 + 1); /* and the pacer's */
	assert_int_equal(push_to(WIRE_ALL, NULL, 0, NULL, 1000), 0);
	push_stop(&push);
	for (unsigned i = 0; i < MEMBERS; i++)
		assert_int_equal(fake_got(&peers[i]), 1);
}

/* ---- kicks ---- */

static void a_kick_without_a_session_ends_whoever_has_the_key(void **state)
{
	int64_t gone = counters_read_by(COUNT_DROPPED, DROP_GONE);
	const struct wire_push nobody = {.target = WIRE_KICK, .keys = (const char *const[]){"nobody"}, .n_keys = 1};

	(void)state;
	start(2, 16);
	assert_int_equal(kick(1, NULL, WIRE_KICKED), 0);
	assert_int_equal(push_accept(push, &nobody), 0);
	push_stop(&push);
	assert_int_equal(atomic_load(&c[1]->reason), CLOSE_KICKED);
	assert_int_equal(atomic_load(&c[2]->reason), CLOSE_NONE);
	/* Nothing was lost: there was no message. */
	assert_int_equal(counters_read_by(COUNT_DROPPED, DROP_GONE), gone);
}

static void a_kick_ends_the_session_it_names_or_an_older_one_but_no_newer(void **state)
{
	const uint64_t five = 5;

	(void)state;
	c[1]->seat.session_id = 4;
	c[2]->seat.session_id = 5;
	c[3]->seat.session_id = 6;
	start(2, 16);
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(kick(i, &five, WIRE_REPLACED), 0);
	push_stop(&push);
	assert_int_equal(atomic_load(&c[1]->reason), CLOSE_REPLACED);
	assert_int_equal(atomic_load(&c[2]->reason), CLOSE_REPLACED);
	assert_int_equal(atomic_load(&c[3]->reason), CLOSE_NONE);
}

/* ---- a user's stream ---- */

/* The one that it replaced has the stream until its reader has noticed. */
static void whoever_replaced_a_connection_has_a_push_to_the_user_once(void **state)
{
	struct wire_push p = {.target = WIRE_KEYS, .stream = his};
	struct fake_transport peer;
	struct connection *newer, *replaced;

	(void)state;
	fake_init(&peer);
	newer = fake_connection(&peer, keys[1], 2, &stage.server.connection.channel);
	newer->server = &stage.server;
	have_stream(c[1]);
	have_stream(newer);
	assert_int_equal(bucket_put(server_bucket(&stage.server, keys[1]), newer, "", &replaced), 0);
	assert_ptr_equal(replaced, c[1]);
	connection_unref(&replaced);
	start(2, 16);
	assert_int_equal(message_new(1000, "hello", 5, &p.message), 0);
	assert_int_equal(push_accept(push, &p), 0);
	message_unref(&p.message);
	push_stop(&push);
	assert_int_equal(newer->channel.queue.count, 1);
	assert_int_equal(fake_got(&peers[1]), 0);
	lose_stream(newer);
	stage_leave(&stage, &newer);
	fake_fini(&peer);
}

/* ---- order ---- */

/* Pushes to keys, a room and all in turn, by several threads: everybody gets its own in the order of acceptance. */
static void pushes_arrive_in_the_order_in_which_they_were_accepted(void **state)
{
	const int32_t rounds = 300;

	(void)state;
	start(3, 64);
	for (int32_t i = 0; i < rounds; i++) {
		assert_int_equal(push_to_key((unsigned)i % MEMBERS, 3 * i), 0);
		assert_int_equal(push_to(WIRE_ROOM, NULL, 0, "live://1", 3 * i + 1), 0);
		assert_int_equal(push_to(WIRE_ALL, NULL, 0, NULL, 3 * i + 2), 0);
	}
	push_stop(&push);
	for (unsigned i = 0; i < MEMBERS; i++) {
		unsigned wanted = (unsigned)rounds / MEMBERS + (i < 6 ? (unsigned)rounds : 0) + (unsigned)rounds;

		assert_int_equal(fake_got(&peers[i]), wanted);
		for (unsigned k = 1; k < wanted; k++)
			assert_true(fake_packet(&peers[i], k - 1)->op < fake_packet(&peers[i], k)->op);
	}
}

struct caller {
	pthread_t thread;
	int32_t first;
};

static void *call_often(void *arg)
{
	const struct caller *caller = arg;

	for (int32_t i = 0; i < 200; i++) {
		struct wire_push p = {.target = i % 2 ? WIRE_ALL : WIRE_ROOM, .room = "live://1"};

		if (message_new(caller->first + i, NULL, 0, &p.message) < 0 || push_accept(push, &p) != 0)
			abort();
		message_unref(&p.message);
	}
	return NULL;
}

/* From several callers at once: the order is one and the same for all who get both. */
static void all_receivers_see_one_order(void **state)
{
	struct caller callers[3];

	(void)state;
	start(2, 8);
	for (int32_t i = 0; i < 3; i++) {
		callers[i].first = i * 1000;
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
	}
	for (int32_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
	push_stop(&push);
	assert_int_equal(fake_got(&peers[0]), 600);
	for (unsigned i = 1; i < 6; i++)
		for (unsigned k = 0; k < 600; k++)
			assert_int_equal(fake_packet(&peers[i], k)->op, fake_packet(&peers[0], k)->op);
}

/* ---- at once ---- */

static void a_push_to_one_key_is_written_by_the_thread_that_brings_it(void **state)
{
	(void)state;
	start(2, 16);
	for (int32_t i = 0; i < 10; i++) {
		assert_int_equal(push_to_key(3, i), 0);
		assert_int_equal(fake_got(&peers[3]), i + 1);
	}
}

static void *push_first(void *arg)
{
	assert_int_equal(push_to_key(0, 1), 0);
	return arg;
}

/* The first is in the middle of its write: the second, of the same share, is queued, and so is what comes behind it. */
static void behind_a_push_under_way_the_next_is_queued(void **state)
{
	pthread_t caller;

	(void)state;
	start(1, 16);
	fake_hold_writes(&peers[0], true);
	assert_int_equal(pthread_create(&caller, NULL, push_first, NULL), 0);
	until(fake_is_writing(&peers[0]));
	assert_int_equal(push_to(WIRE_ROOM, NULL, 0, "live://1", 2), 0);
	assert_int_equal(push_to_key(1, 3), 0);
	assert_int_equal(fake_got(&peers[1]), 0);
	fake_hold_writes(&peers[0], false);
	assert_int_equal(pthread_join(caller, NULL), 0);
	until(fake_got(&peers[1]) == 2);
	assert_int_equal(fake_packet(&peers[1], 0)->op, 2);
	assert_int_equal(fake_packet(&peers[1], 1)->op, 3);
	until(fake_got(&peers[0]) == 2);
	assert_int_equal(fake_packet(&peers[0], 0)->op, 1);
}

/* Somebody else is about to write to it, and its mailbox is full: its share's thread waits for that, and the caller does not. */
static void what_would_have_to_wait_is_left_to_the_thread_of_its_share(void **state)
{
	const int32_t n = 4;

	(void)state;
	start(1, 16);
	c[0]->channel.queue.count_max = (uint32_t)n;
	assert_true(channel_seize(&c[0]->channel));
	for (int32_t i = 0; i < n + 3; i++)
		assert_int_equal(push_to_key(0, i), 0);
	assert_int_equal(fake_got(&peers[0]), 0);
	dispatch_now(c[0]);
	until(fake_got(&peers[0]) == (unsigned)n + 3);
	for (int32_t i = 0; i < n + 3; i++)
		assert_int_equal(fake_packet(&peers[0], (unsigned)i)->op, i);
}

static void *call_for_keys(void *arg)
{
	const struct caller *caller = arg;

	for (int32_t i = 0; i < 500; i++)
		if (i % 5 == 4 ? push_to(WIRE_ROOM, NULL, 0, "live://1", caller->first + i)
			       : push_to_key((unsigned)i % 4, caller->first + i))
			abort();
	return NULL;
}

/* Each caller's own pushes, to keys and to their room, in its order; and all of them. */
static void from_several_callers_at_once_each_ones_arrive_in_its_order(void **state)
{
	struct caller callers[3];

	(void)state;
	start(2, 64);
	for (int32_t i = 0; i < 3; i++) {
		callers[i].first = i * 1000;
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call_for_keys, &callers[i]), 0);
	}
	for (int32_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
	push_stop(&push);
	for (unsigned i = 0; i < 4; i++) {
		int32_t last[3] = {-1, -1, -1};

		assert_int_equal(fake_got(&peers[i]), 3 * (100 + 100));
		for (unsigned k = 0; k < fake_got(&peers[i]); k++) {
			int32_t op = fake_packet(&peers[i], k)->op;

			assert_true(op > last[op / 1000]);
			last[op / 1000] = op;
		}
	}
}

/* ---- to a user who is kept ---- */

/* To the first n, all of which logic has found. */
static int push_to_user(unsigned n, int32_t op)
{
	const char *to[MEMBERS];
	struct wire_push p = {.target = WIRE_KEYS, .stream = his, .keys = to, .n_keys = n};
	int rc;

	for (unsigned i = 0; i < n; i++)
		to[i] = keys[i];
	assert_int_equal(message_new(op, "hello", 5, &p.message), 0);
	rc = push_accept(push, &p);
	message_unref(&p.message);
	return rc;
}

/* It has a packet of each number from the first one that it got on, and so many. */
static void has_all_numbers(unsigned i, unsigned n)
{
	until(fake_got(&peers[i]) == n);
	for (unsigned k = 1; k < n; k++)
		assert_int_equal(fake_packet(&peers[i], k)->seq, fake_packet(&peers[i], k - 1)->seq + 1);
}

static void a_push_that_is_kept_is_written_by_the_thread_that_brings_it(void **state)
{
	(void)state;
	have_stream(c[0]);
	have_stream(c[1]);
	start(3, 16);
	for (int32_t i = 0; i < 10; i++) {
		assert_int_equal(push_to_user(3, 1000), 0);
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(fake_got(&peers[k]), i + 1);
	}
	has_all_numbers(0, 10);
	has_all_numbers(1, 10);
	assert_int_equal(fake_packet(&peers[2], 0)->seq, 0); /* without the stream */
}

/* More connections than the caller has time for are the threads' all the same. */
static void a_push_to_a_user_with_many_keys_is_queued(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MEMBERS; i++)
		have_stream(c[i]);
	start(1, 16);
	fake_hold_writes(&peers[0], true);
	assert_int_equal(push_to_user(MEMBERS, 1000), 0);
	until(fake_is_writing(&peers[0]));
	fake_hold_writes(&peers[0], false);
	for (unsigned i = 0; i < MEMBERS; i++)
		has_all_numbers(i, 1);
}

/* Where one of his connections would have to wait, the others have theirs by then, and nobody gets one twice. */
static void of_a_kept_push_only_what_would_have_to_wait_is_left_to_the_thread(void **state)
{
	const unsigned n = 4;

	(void)state;
	have_stream(c[0]);
	have_stream(c[1]);
	start(1, 16);
	c[0]->channel.queue.count_max = n;
	assert_true(channel_seize(&c[0]->channel));
	for (unsigned i = 0; i < n + 3; i++)
		assert_int_equal(push_to_user(2, 1000), 0);
	assert_int_equal(fake_got(&peers[0]), 0);
	assert_int_equal(fake_got(&peers[1]), n + 1);
	dispatch_now(c[0]);
	has_all_numbers(0, n + 3);
	has_all_numbers(1, n + 3);
}

#define USER_PUSHES 400

static void *call_for_user(void *arg)
{
	const struct caller *caller = arg;
	unsigned dice = (unsigned)caller->first + 1;

	for (int32_t i = 0; i < USER_PUSHES; i++) {
		dice = dice * 1103515245 + 12345;
		if ((dice >> 16) % 8 == 0 && push_to(WIRE_ALL, NULL, 0, NULL, 2000) < 0)
			abort();
		if ((dice >> 16) % 4 == 0)
			(void)sched_yield();
		if (push_to_user((dice >> 20) % 4, 1000) < 0)
			abort();
	}
	return NULL;
}

/* Now and then a write takes long, at a random moment. */
static void disturb(unsigned times)
{
	const struct timespec moment = {.tv_nsec = 100000};
	unsigned dice = 1;

	for (unsigned i = 0; i < times; i++) {
		dice = dice * 1103515245 + 12345;
		fake_hold_writes(&peers[(dice >> 16) % 3], true);
		(void)nanosleep(&moment, NULL);
		for (unsigned k = 0; k < 3; k++)
			fake_hold_writes(&peers[k], false);
	}
}

/* Whoever writes, each connection of the user has each of his pushes once, in the order of their numbers. */
static void from_several_callers_at_once_a_user_has_his_numbers_in_order(void **state)
{
	struct caller callers[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		have_stream(c[i]);
		c[i]->channel.accepts.all = false;
		assert_int_equal(channel_watch(&c[i]->channel, (const int32_t[]){1000}, 1, 10), 0);
	}
	c[0]->channel.queue.count_max = 4; /* often full, and never for long */
	start(2, 64);
	for (int32_t i = 0; i < 3; i++) {
		callers[i].first = i;
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call_for_user, &callers[i]), 0);
	}
	disturb(200);
	for (int32_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
	push_stop(&push);
	for (unsigned i = 0; i < 3; i++)
		has_all_numbers(i, 3 * USER_PUSHES);
}

/* ---- limits ---- */

static unsigned queued(void)
{
	return (unsigned)counters_read(COUNT_QUEUED);
}

/* What is for one key its caller would write. */
static int push_to_key_by_thread(unsigned i, int32_t op)
{
	return push_to(WIRE_KEYS, (const char *const[]){keys[i], "nobody"}, 2, NULL, op);
}

/* One thread, stuck in a write, and one push in its queue: there is no space for more. */
static void fill(void)
{
	start(1, 1);
	fake_hold_writes(&peers[0], true);
	assert_int_equal(push_to_key_by_thread(0, 1), 0);
	until(fake_is_writing(&peers[0]));
	assert_int_equal(push_to_key(1, 2), 0);
}

static void a_push_that_finds_no_room_in_time_is_refused_and_counted(void **state)
{
	int64_t before = refused(QUEUE_FULL);
	unsigned queued_before = queued();

	(void)state;
	fill();
	/* The clock stands, an hour back: this wait is over at once. */
	seam_clock_set(clock_now_ns() - 3600 * CLOCK_SEC, 0);
	assert_int_equal(push_to_key(2, 3), -EAGAIN);
	assert_int_equal(refused(QUEUE_FULL), before + 1);
	fake_hold_writes(&peers[0], false);
	push_stop(&push);
	assert_int_equal(fake_got(&peers[1]), 1);
	assert_int_equal(fake_got(&peers[2]), 0);
	assert_int_equal(queued(), queued_before);
}

/* There would be no space for it in the queue. */
static void a_push_to_a_room_that_nobody_is_in_is_done_at_once(void **state)
{
	int64_t refused_before = refused(QUEUE_FULL);

	(void)state;
	fill();
	seam_clock_set(clock_now_ns() - 3600 * CLOCK_SEC, 0);
	assert_int_equal(push_to(WIRE_ROOM, NULL, 0, "live://nobody", 3), 0);
	assert_int_equal(push_to(WIRE_ROOM, NULL, 0, "live://1", 4), -EAGAIN);
	assert_int_equal(refused(QUEUE_FULL), refused_before + 1);
	fake_hold_writes(&peers[0], false);
	push_stop(&push);
	assert_int_equal(fake_got(&peers[0]), 1);
}

static int push_large(const char *body, uint32_t bytes)
{
	const char *nobody = "nobody";
	struct wire_push p = {.target = WIRE_KEYS, .keys = &nobody, .n_keys = 1};
	int rc;

	assert_int_equal(message_new(1, body, bytes, &p.message), 0);
	rc = push_accept(push, &p);
	message_unref(&p.message);
	return rc;
}

/* Of pushes this long fewer have room than may wait. */
static void long_pushes_fill_a_queue_by_their_length(void **state)
{
	const uint32_t bytes = 16u << 20;
	char *body = calloc(1, bytes);

	(void)state;
	assert_non_null(body);
	start(1, 1000);
	fake_hold_writes(&peers[0], true);
	assert_int_equal(push_to_key_by_thread(0, 1), 0);
	until(fake_is_writing(&peers[0]));
	for (int i = 0; i < 4; i++)
		assert_int_equal(push_large(body, bytes), 0);
	seam_clock_set(clock_now_ns() - 3600 * CLOCK_SEC, 0);
	assert_int_equal(push_to_key(2, 3), -EAGAIN);
	/* What has left makes space again. */
	fake_hold_writes(&peers[0], false);
	seam_reset();
	assert_int_equal(push_to_key(2, 3), 0);
	push_stop(&push);
	assert_int_equal(fake_got(&peers[2]), 1);
	free(body);
}

static void *push_third(void *arg)
{
	*(int *)arg = push_to_key(2, 3);
	return NULL;
}

static void a_push_waits_for_room(void **state)
{
	pthread_t caller;
	int rc = 1;

	(void)state;
	fill();
	/* The clock stands, an hour ahead: this wait has no end but room. */
	seam_clock_set(clock_now_ns() + 3600 * CLOCK_SEC, 0);
	assert_int_equal(pthread_create(&caller, NULL, push_third, &rc), 0);
	fake_hold_writes(&peers[0], false);
	assert_int_equal(pthread_join(caller, NULL), 0);
	assert_int_equal(rc, 0);
	until(fake_got(&peers[2]) == 1);
}

static void what_was_accepted_is_delivered_before_the_stop(void **state)
{
	(void)state;
	start(2, 256);
	for (int32_t i = 0; i < 200; i++)
		assert_int_equal(push_to(WIRE_ALL, NULL, 0, NULL, i), 0);
	push_stop(&push);
	assert_null(push);
	for (unsigned i = 0; i < MEMBERS; i++)
		assert_int_equal(fake_got(&peers[i]), 200);
}

/* ---- no memory, no threads ---- */

static void a_push_without_memory_is_refused_and_nothing_is_left(void **state)
{
	const uint64_t sessions[] = {1, 1};
	const char *const to[] = {keys[0], keys[1]};
	struct wire_push p = {.target = WIRE_KEYS, .keys = to, .sessions = sessions, .n_keys = 2, .room = "live://1"};
	int64_t before = refused(NO_MEMORY);
	unsigned after = 0;
	int rc;

	(void)state;
	start(1, 16);
	assert_int_equal(message_new(1000, NULL, 0, &p.message), 0);
	for (;; after++) {
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = push_accept(push, &p);
		if (seam_failed(SEAM_ALLOC) == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(atomic_load(&p.message->refs), 1);
	}
	seam_reset();
	assert_int_equal(rc, 0);
	assert_int_equal(after, 5); /* job, room, list of keys, two keys */
	assert_int_equal(refused(NO_MEMORY), before + after);
	push_stop(&push);
	assert_int_equal(atomic_load(&p.message->refs), 1);
	message_unref(&p.message);
	assert_int_equal(fake_got(&peers[0]), 1);
}

static void without_memory_to_list_a_room_or_all_it_is_counted(void **state)
{
	int64_t before = counters_read_by(COUNT_DROPPED, DROP_NO_MEMORY);
	struct wire_push p = {.target = WIRE_ROOM, .room = "live://1"};

	(void)state;
	start(1, 16);
	assert_int_equal(message_new(1000, NULL, 0, &p.message), 0);
	/* The first allocations are those of the job itself. */
	seam_fail(SEAM_ALLOC, 2, 100, ENOMEM);
	assert_int_equal(push_accept(push, &p), 0);
	until(counters_read_by(COUNT_DROPPED, DROP_NO_MEMORY) > before);
	until(atomic_load(&p.message->refs) == 1);
	before = counters_read_by(COUNT_DROPPED, DROP_NO_MEMORY);
	p.target = WIRE_ALL;
	p.room = NULL;
	seam_reset();
	seam_fail(SEAM_ALLOC, 1, 100, ENOMEM);
	assert_int_equal(push_accept(push, &p), 0);
	until(counters_read_by(COUNT_DROPPED, DROP_NO_MEMORY) > before);
	until(atomic_load(&p.message->refs) == 1);
	seam_reset();
	message_unref(&p.message);
	for (unsigned i = 0; i < MEMBERS; i++)
		assert_int_equal(fake_got(&peers[i]), 0);
}

/* Whatever is missing for the start: what was started before is stopped again. */
static void a_start_that_fails_leaves_nothing_behind(void **state)
{
	int64_t before = counters_read(COUNT_THREADS);
	unsigned after = 0;
	int rc;

	(void)state;
	for (;; after++) {
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = push_start(&stage.server, 3, 16, &push);
		if (seam_failed(SEAM_ALLOC) == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_null(push);
		assert_int_equal(counters_read(COUNT_THREADS), before);
	}
	seam_reset();
	assert_int_equal(rc, 0);
	push_stop(&push);
	for (after = 0; after < 4; after++) {
		seam_fail(SEAM_PTHREAD_CREATE, after, 1, EAGAIN);
		assert_int_equal(push_start(&stage.server, 3, 16, &push), -EAGAIN);
		assert_null(push);
		assert_int_equal(counters_read(COUNT_THREADS), before);
	}
}

#define push_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		push_test(a_push_to_keys_reaches_those_and_no_others),
		push_test(a_key_that_is_not_here_is_counted),
		push_test(a_push_to_a_room_reaches_it_in_every_bucket_and_is_not_filtered),
		push_test(a_push_to_all_reaches_those_who_accept_it),
		push_test(a_push_to_all_with_a_speed_is_paced),
		push_test(more_threads_than_buckets_are_not_started),
		push_test(a_kick_without_a_session_ends_whoever_has_the_key),
		push_test(a_kick_ends_the_session_it_names_or_an_older_one_but_no_newer),
		push_test(whoever_replaced_a_connection_has_a_push_to_the_user_once),
		push_test(what_would_have_to_wait_is_left_to_the_thread_of_its_share),
		push_test(from_several_callers_at_once_each_ones_arrive_in_its_order),
		push_test(behind_a_push_under_way_the_next_is_queued),
		push_test(a_push_to_one_key_is_written_by_the_thread_that_brings_it),
		push_test(a_push_that_is_kept_is_written_by_the_thread_that_brings_it),
		push_test(a_push_to_a_user_with_many_keys_is_queued),
		push_test(of_a_kept_push_only_what_would_have_to_wait_is_left_to_the_thread),
		push_test(from_several_callers_at_once_a_user_has_his_numbers_in_order),
		push_test(pushes_arrive_in_the_order_in_which_they_were_accepted),
		push_test(all_receivers_see_one_order),
		push_test(a_push_that_finds_no_room_in_time_is_refused_and_counted),
		push_test(long_pushes_fill_a_queue_by_their_length),
		push_test(a_push_to_a_room_that_nobody_is_in_is_done_at_once),
		push_test(a_push_waits_for_room),
		push_test(what_was_accepted_is_delivered_before_the_stop),
		push_test(a_push_without_memory_is_refused_and_nothing_is_left),
		push_test(without_memory_to_list_a_room_or_all_it_is_counted),
		push_test(a_start_that_fails_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
