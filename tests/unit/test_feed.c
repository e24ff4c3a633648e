/* Tests of comet/feed and comet/history. SPDX-License-Identifier: MIT */
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

#include "comet/feed.h"
#include "comet/join.h"
#include "comet/membership.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "tests/unit/seam.h"

#define WALL_MS INT64_C(1800000000000)

static struct config cfg;
static struct feeds feeds;

static void up(const char *rooms)
{
	cfg = (struct config){
		.stream_rooms = (char *)(uintptr_t)rooms,
		.stream_position_ttl = 24 * 3600 * 1000,
		.stream_idle_ttl = 3600 * 1000,
		.stream_memory = 1 << 20,
		.stream_bytes = 1 << 16,
		.stream_spread = 5000,
		.stream_new = 200,
	};
	feeds_init(&feeds, &cfg, NULL);
}

static int set_up(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_SEC, WALL_MS);
	up("chat:4/10m,score:1/24h");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	feeds_fini(&feeds);
	seam_reset();
	assert_int_equal(counters_read(COUNT_STREAMS), 0);
	assert_int_equal(counters_read(COUNT_STREAM_MESSAGES), 0);
	assert_int_equal(counters_read(COUNT_STREAM_BYTES), 0);
	return 0;
}

/* The number that a push of so many bytes gets. */
static uint64_t push_bytes(const char *room, uint32_t bytes)
{
	char *body = calloc(1, bytes + 1);
	struct message *m;
	uint64_t number;

	assert_non_null(body);
	assert_int_equal(message_new(1000, body, bytes, &m), 0);
	assert_int_equal(feed_append(&feeds, room, m, NULL), 0);
	number = m->number;
	message_unref(&m);
	free(body);
	return number;
}

static uint64_t push(const char *room)
{
	return push_bytes(room, 5);
}

static struct feed *hold(const char *room)
{
	struct feed_asked asked = {.room = room};

	feed_hold(&feeds, &asked, 1, 0);
	assert_int_equal(asked.rc, 0);
	return asked.feed;
}

static struct feed_place decide(struct feed *f, uint64_t since, uint64_t last)
{
	struct feed_place place;

	assert_int_equal(feed_decide(&feeds, f, &(struct feed_wish){since, last}, 0, NULL, &place), 0);
	return place;
}

/* Everything above, in order; how many. */
static int take_all(struct feed *f, uint64_t above)
{
	struct message *taken[16];
	int n = feed_take(&feeds, f, above, taken, 16, SIZE_MAX);

	for (int i = 0; i < n; i++) {
		assert_int_equal(taken[i]->number, above + 1 + (uint64_t)i);
		message_unref(&taken[i]);
	}
	return n;
}

static void numbers_follow_each_other_and_begin_at_the_clock(void **state)
{
	uint64_t first = push("chat://1");

	(void)state;
	assert_int_equal(first, WALL_MS * 1000 + 1);
	for (unsigned i = 1; i < 100; i++)
		assert_int_equal(push("chat://1"), first + i);
	assert_int_equal(push("chat://2"), first);
	assert_int_equal(push("other://1"), 0);
	assert_int_equal(push("chat"), 0);
}

/* What comes from then on is the join's to bring. */
static void the_place_of_op_12_hears_up_to_the_number_that_was_decided(void **state)
{
	struct feed *f = hold("chat://1");
	_Atomic uint64_t old = 0;
	struct feed_place place;
	uint64_t at;

	(void)state;
	at = push("chat://1");
	assert_true(membership_hears(atomic_load(&old), at));
	assert_int_equal(feed_decide(&feeds, f, &(struct feed_wish){.last = 1}, 0, &old, &place), 0);
	assert_int_equal(place.newest, at);
	assert_true(membership_hears(atomic_load(&old), at));
	assert_true(membership_hears(atomic_load(&old), 0));
	assert_false(membership_hears(atomic_load(&old), push("chat://1")));
	assert_false(membership_hears(MEMBERSHIP_DEAF, 0));
	assert_false(membership_hears(MEMBERSHIP_DEAF, at));
	feed_release(&feeds, &f);
}

static void position_within_the_history_gets_all_that_is_above(void **state)
{
	struct feed *f = hold("chat://1");
	struct feed_place place = decide(f, 0, 0);
	uint64_t at = place.at;

	(void)state;
	assert_false(place.gap);
	assert_int_equal(place.replay, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(push("chat://1"), at + 1 + (uint64_t)i);
	for (uint64_t back = 0; back <= 4; back++) {
		place = decide(f, at + 4 - back, 0);
		assert_false(place.gap);
		assert_int_equal(place.at, at + 4 - back);
		assert_int_equal(place.replay, back);
		assert_int_equal(take_all(f, place.at), (int)back);
	}
	feed_release(&feeds, &f);
}

static void position_that_proves_nothing_is_a_gap_and_nothing_is_replayed(void **state)
{
	struct feed *f = hold("chat://1");
	uint64_t at = 0;

	(void)state;
	for (int i = 0; i < 5; i++)
		at = push("chat://1");
	const uint64_t positions[] = {at - 5, 1, at + 1, MESSAGE_NUMBERS_END - 1};
	for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		struct feed_place place = decide(f, positions[i], 0);

		assert_true(place.gap);
		assert_int_equal(place.at, at);
		assert_int_equal(place.replay, 0);
		assert_int_equal(place.cause, positions[i] > at ? GAP_AHEAD : GAP_OLD);
	}
	feed_release(&feeds, &f);
}

static void last_gives_the_newest_also_after_a_gap(void **state)
{
	struct feed *f = hold("chat://1");
	uint64_t at = 0;
	struct feed_place place;

	(void)state;
	for (int i = 0; i < 9; i++)
		at = push("chat://1");
	place = decide(f, 0, 2);
	assert_false(place.gap);
	assert_int_equal(place.at, at - 2);
	place = decide(f, 0, MESSAGE_NUMBERS_END - 1);
	assert_int_equal(place.at, at - 4);
	place = decide(f, 1, 3);
	assert_true(place.gap);
	assert_int_equal(place.at, at - 3);
	assert_int_equal(place.replay, 3);
	place = decide(f, at - 1, 3);
	assert_false(place.gap);
	assert_int_equal(place.at, at - 1);
	feed_release(&feeds, &f);
}

static void history_goes_after_its_time_and_the_number_later(void **state)
{
	struct feed *f = hold("chat://1");
	uint64_t at = push("chat://1");
	struct feed_place place;

	(void)state;
	feed_release(&feeds, &f);
	seam_clock_advance(11 * 60 * CLOCK_SEC);
	f = hold("chat://1");
	place = decide(f, at, 0);
	assert_false(place.gap); /* nothing missed, and that is proved */
	assert_true(decide(f, at - 1, 0).gap);
	feed_release(&feeds, &f);
	seam_clock_advance(23 * 3600 * CLOCK_SEC);
	feeds_sweep(&feeds, 100);
	assert_int_equal(counters_read(COUNT_STREAMS), 1);
	seam_clock_advance(2 * 3600 * CLOCK_SEC);
	feeds_sweep(&feeds, 100);
	assert_int_equal(counters_read(COUNT_STREAMS), 0);
	f = hold("chat://1");
	assert_true(decide(f, at, 0).gap);
	feed_release(&feeds, &f);
}

static void number_that_was_never_pushed_to_goes_earlier(void **state)
{
	struct feed *a = hold("chat://1"), *b = hold("chat://2");

	(void)state;
	feed_release(&feeds, &a);
	seam_clock_advance(3601 * CLOCK_SEC);
	feeds_sweep(&feeds, 1);
	feeds_sweep(&feeds, 1);
	assert_int_equal(counters_read(COUNT_STREAMS), 1); /* the other is held */
	feed_release(&feeds, &b);
}

static void new_life_is_above_the_old_one_also_when_the_clock_was_put_back(void **state)
{
	uint64_t at = push("chat://1");

	(void)state;
	seam_clock_set(CLOCK_SEC + 48 * 3600 * CLOCK_SEC, WALL_MS - 1000000);
	feeds_sweep(&feeds, 100);
	assert_int_equal(counters_read(COUNT_STREAMS), 0);
	assert_int_equal(push("chat://1"), at + 2);
}

static void history_stays_within_its_bytes_and_stays_consecutive(void **state)
{
	struct feed *f = hold("chat://1");
	uint64_t at;

	(void)state;
	for (int i = 0; i < 4; i++)
		(void)push_bytes("chat://1", 20000);
	assert_int_equal(decide(f, 0, 9).replay, 3);
	at = push_bytes("chat://1", 70000); /* one that is longer than all stays alone */
	assert_int_equal(decide(f, 0, 9).replay, 1);
	assert_int_equal(take_all(f, at - 1), 1);
	assert_int_equal(push("chat://1"), at + 1);
	assert_int_equal(decide(f, 0, 9).replay, 1);
	feed_release(&feeds, &f);
}

static void memory_is_taken_from_the_longest_unused(void **state)
{
	struct feed *f = hold("chat://0");
	uint64_t at = push_bytes("chat://0", 50000);
	int64_t given_up = counters_read(COUNT_STREAMS_GIVEN_UP);
	char room[32];

	(void)state;
	for (int i = 1; i <= 30; i++) {
		(void)snprintf(room, sizeof(room), "chat://%d", i);
		(void)push_bytes(room, 50000);
		assert_in_range(counters_read(COUNT_STREAM_BYTES), 1, 1 << 20);
	}
	assert_in_range(counters_read(COUNT_STREAMS_GIVEN_UP) - given_up, 10, 30);
	assert_false(decide(f, at, 0).gap); /* its number is known as long as it is held */
	assert_int_equal(decide(f, at - 1, 0).cause, GAP_MEMORY);
	assert_int_equal(take_all(f, at - 1), -ESTALE);
	feed_release(&feeds, &f);
}

static void empty_feeds_count_too(void **state)
{
	char room[32];

	(void)state;
	for (int i = 0; i < 9000; i++) {
		struct feed *f;

		(void)snprintf(room, sizeof(room), "chat://%d", i);
		f = hold(room);
		feed_release(&feeds, &f);
	}
	assert_in_range(counters_read(COUNT_STREAM_BYTES), 1 << 19, 1 << 20);
}

static void numbers_are_made_no_faster_than_allowed(void **state)
{
	struct feed_asked asked[2] = {{.room = "score://a"}, {.room = "score://known"}};
	struct feed *known = hold("score://known");
	int64_t joins = counters_read_by(COUNT_JOINS, JOIN_REFUSED);
	char room[32];
	int made = 1;

	(void)state;
	for (; made < 20000; made++) {
		(void)snprintf(room, sizeof(room), "chat://%d", made);
		asked[0].room = room;
		feed_hold(&feeds, asked, 1, 0);
		if (asked[0].rc != 0)
			break;
		feed_release(&feeds, &asked[0].feed);
	}
	assert_int_equal(made, 10000);
	asked[0].room = "score://a";
	feed_hold(&feeds, asked, 2, 0);
	assert_int_equal(asked[0].rc, -EBUSY);
	assert_null(asked[0].feed);
	assert_int_equal(counters_read_by(COUNT_JOINS, JOIN_REFUSED), joins); /* it may be no JOIN that asks */
	assert_int_equal(asked[1].rc, 0);                                     /* this one has a number */
	feed_release(&feeds, &asked[1].feed);
	feed_release(&feeds, &known);
	seam_clock_advance(5 * CLOCK_MS);
	feed_hold(&feeds, asked, 1, 0);
	assert_int_equal(asked[0].rc, 0);
	feed_release(&feeds, &asked[0].feed);
}

static void jump_is_a_gap_for_all_before(void **state)
{
	struct feed *f = hold("chat://1");
	uint64_t was = push("chat://1"), at = 0;

	(void)state;
	(void)feed_jump(&feeds, "other://1", &at, NULL);
	assert_int_equal(at, 0);
	(void)feed_jump(&feeds, "chat://2", &at, NULL);
	assert_int_equal(push("chat://2"), at + 1);
	(void)feed_jump(&feeds, "chat://1", &at, NULL);
	assert_true(at >= was + 60000000);
	assert_true(decide(f, was, 0).gap);
	assert_int_equal(decide(f, was, 0).cause, GAP_JUMP);
	assert_int_equal(take_all(f, was), -ESTALE);
	assert_int_equal(push("chat://1"), at + 1);
	assert_false(decide(f, at, 0).gap);
	assert_int_equal(take_all(f, at), 1);
	feed_release(&feeds, &f);
}

#define OWN        "\0017"
#define KEYS_BYTES 64

static int list_key(void *arg, const struct connection *c)
{
	char *keys = arg;
	size_t n = strlen(keys);

	if (strcmp(c->seat.key, "none") == 0)
		return -ENOMEM;
	(void)snprintf(keys + n, KEYS_BYTES - n, "%s ", c->seat.key);
	return 0;
}

static void pushes_to_a_user_are_for_those_who_have_his_stream(void **state)
{
	struct connection *phone = calloc(1, sizeof(*phone)), *pad = calloc(1, sizeof(*pad));
	struct membership of_phone = {.connection = phone}, of_pad = {.connection = pad};
	char keys[KEYS_BYTES] = "";
	const struct feed_reach reach = {list_key, keys};
	struct message *m;
	struct feed *f;
	uint64_t at = 0;

	(void)state;
	feeds_fini(&feeds);
	cfg.stream_users = (char *)(uintptr_t) "4/10m";
	cfg.stream_new = 1; /* which is for rooms */
	feeds_init(&feeds, &cfg, NULL);
	phone->seat.key = "phone";
	pad->seat.key = "pad";
	assert_int_equal(message_new(1000, "x", 1, &m), 0);
	assert_int_equal(feed_append(&feeds, OWN, m, &reach), 0);
	assert_string_equal(keys, "");
	f = hold(OWN);
	feed_enter(&feeds, f, &of_phone);
	feed_enter(&feeds, f, &of_pad);
	assert_int_equal(decide(f, m->number, 0).replay, 0);
	assert_int_equal(feed_jump(&feeds, OWN, &at, &reach), 0);
	assert_string_equal(keys, "pad phone ");
	assert_true(at > m->number);
	feed_leave(&feeds, f, &of_pad);
	keys[0] = '\0';
	assert_int_equal(feed_append(&feeds, OWN, m, &reach), 0);
	assert_string_equal(keys, "phone ");
	assert_int_equal(m->number, at + 1);
	/* Who cannot be told of it does not get the next one without it. */
	phone->seat.key = "none";
	assert_int_equal(feed_append(&feeds, OWN, m, &reach), -ENOMEM);
	assert_int_equal(feed_jump(&feeds, OWN, &at, &reach), -ENOMEM);
	assert_int_equal(decide(f, at, 0).newest, at + 1);
	feed_leave(&feeds, f, &of_phone);
	feed_release(&feeds, &f);
	message_unref(&m);
	free(phone);
	free(pad);
}

static void what_is_confirmed_ends_at_the_newest_number(void **state)
{
	struct acks acks;
	struct feed *f;

	(void)state;
	feeds_fini(&feeds);
	cfg.stream_users = (char *)(uintptr_t) "4/10m";
	feeds_init(&feeds, &cfg, NULL);
	f = hold(OWN);
	assert_int_equal(feed_confirm(&feeds, f, "phone", UINT64_MAX), WALL_MS * 1000);
	assert_int_equal(feed_confirm(&feeds, f, "phone", 7), 7);
	assert_int_equal(feed_confirm(&feeds, f, NULL, 8), 8);
	assert_int_equal(feed_confirmed(&feeds, f, 0, &acks), 0);
	assert_int_equal(acks.n, 1);
	assert_int_equal(acks_get(&acks, "phone"), WALL_MS * 1000);
	acks_fini(&acks);
	feed_release(&feeds, &f);
}

static void take_is_bounded_in_number_and_bytes_and_gives_at_least_one(void **state)
{
	struct feed *f = hold("chat://1");
	struct message *taken[4];
	uint64_t at = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		at = push_bytes("chat://1", 1000);
	assert_int_equal(feed_take(&feeds, f, at - 4, taken, 3, SIZE_MAX), 3);
	for (int i = 0; i < 3; i++)
		message_unref(&taken[i]);
	assert_int_equal(feed_take(&feeds, f, at - 4, taken, 4, 1), 1);
	message_unref(&taken[0]);
	assert_int_equal(feed_take(&feeds, f, at - 4, taken, 4, 1001), 2);
	message_unref(&taken[0]);
	message_unref(&taken[1]);
	assert_int_equal(feed_take(&feeds, f, at, taken, 4, SIZE_MAX), 0);
	assert_int_equal(feed_take(&feeds, f, at - 5, taken, 4, SIZE_MAX), -ESTALE);
	assert_int_equal(feed_take(&feeds, f, at + 1, taken, 4, SIZE_MAX), -ESTALE);
	feed_release(&feeds, &f);
}

static uint64_t said;

static void say(void *arg, uint64_t at)
{
	assert_ptr_equal(arg, &said);
	said = at;
}

static void join_ends_when_all_was_sent_or_is_skipped(void **state)
{
	struct feed *f = hold("chat://1");
	_Atomic uint64_t after = UINT64_MAX;
	uint64_t at = push("chat://1");

	(void)state;
	assert_false(feed_finish(&feeds, f, at - 1, &after));
	assert_true(atomic_load(&after) == UINT64_MAX);
	assert_true(feed_finish(&feeds, f, at, &after));
	assert_int_equal(atomic_load(&after), at);
	at = push("chat://1");
	feed_skip(&feeds, f, say, &said, &after);
	assert_int_equal(said, at);
	assert_int_equal(atomic_load(&after), at);
	feed_release(&feeds, &f);
}

static void without_memory_nothing_is_numbered(void **state)
{
	struct feed_asked asked = {.room = "chat://1"};
	struct message *m;
	int rc = -ENOMEM;

	(void)state;
	assert_int_equal(message_new(1000, "x", 1, &m), 0);
	for (unsigned i = 0; rc < 0; i++) {
		seam_fail(SEAM_ALLOC, i, 1, ENOMEM);
		rc = feed_append(&feeds, "chat://1", m, NULL);
		assert_true(rc == 0 || rc == -ENOMEM);
		assert_true(i < 10);
	}
	seam_reset();
	seam_clock_set(CLOCK_SEC, WALL_MS);
	assert_int_equal(m->number, WALL_MS * 1000 + 1);
	message_unref(&m);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	asked.room = "chat://2";
	feed_hold(&feeds, &asked, 1, 0);
	assert_int_equal(asked.rc, -ENOMEM);
	assert_null(asked.feed);
}

static void reload_times_are_spread(void **state)
{
	bool low = false, high = false;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t ms = feeds_reload_ms(&feeds);

		assert_in_range(ms, 0, 4999);
		low |= ms < 1000;
		high |= ms > 4000;
	}
	assert_true(low && high);
}

/* ---- the join gate, under threads ---- */

#define JOINERS 3
#define JOINS   300 /* of each, at least */

struct joiner {
	pthread_t thread;
	unsigned index;
};

/* What the push threads do, where the one member is this: a push goes to it if it hears it. */
struct member {
	_Atomic uint64_t after;
	_Atomic uint64_t heard; /* the last number brought, or 0 */
	_Atomic unsigned bad, joins;
};

static struct member members[JOINERS];
static atomic_bool over;

static bool all_have_joined(void)
{
	for (int k = 0; k < JOINERS; k++)
		if (atomic_load(&members[k].joins) < JOINS)
			return false;
	return true;
}

static void *keep_pushing(void *arg)
{
	(void)arg;
	for (int i = 0; !all_have_joined(); i++) {
		uint64_t number = push("chat://1");

		for (int k = 0; k < JOINERS; k++) {
			struct member *m = &members[k];
			uint64_t after = atomic_load(&m->after);

			if (number <= after)
				continue;
			if (number != (atomic_load(&m->heard) > after ? atomic_load(&m->heard) : after) + 1)
				atomic_fetch_add(&m->bad, 1);
			atomic_store(&m->heard, number);
		}
		if (i % 8 == 0)
			(void)sched_yield();
	}
	atomic_store(&over, true);
	return NULL;
}

static void *keep_joining(void *arg)
{
	struct joiner *j = arg;
	struct member *m = &members[j->index];
	uint64_t position = 0;

	while (!atomic_load(&over)) {
		struct feed *f = hold("chat://1");
		struct feed_place place = decide(f, position, 0);
		uint64_t sent = place.at;
		int n;

		if (!place.gap && position != 0 && place.at != position)
			atomic_fetch_add(&m->bad, 1);
		do {
			if ((n = take_all(f, sent)) < 0)
				break;
			sent += (uint64_t)n;
		} while (!feed_finish(&feeds, f, sent, &m->after));
		if (n < 0) {
			feed_skip(&feeds, f, say, &said, &m->after);
			sent = atomic_load(&m->after);
		}
		(void)sched_yield();
		/* Deaf again; where it heard something, it goes on from there. */
		atomic_store(&m->after, UINT64_MAX);
		(void)sched_yield();
		position = sent;
		atomic_fetch_add(&m->joins, 1);
		feed_release(&feeds, &f);
	}
	return NULL;
}

static void no_push_falls_between_replay_and_hearing(void **state)
{
	struct joiner joiners[JOINERS] = {0};
	pthread_t pusher;

	(void)state;
	seam_reset();
	for (int i = 0; i < JOINERS; i++) {
		members[i] = (struct member){.after = UINT64_MAX};
		joiners[i].index = (unsigned)i;
	}
	assert_int_equal(pthread_create(&pusher, NULL, keep_pushing, NULL), 0);
	for (int i = 0; i < JOINERS; i++)
		assert_int_equal(pthread_create(&joiners[i].thread, NULL, keep_joining, &joiners[i]), 0);
	assert_int_equal(pthread_join(pusher, NULL), 0);
	for (int i = 0; i < JOINERS; i++) {
		assert_int_equal(pthread_join(joiners[i].thread, NULL), 0);
		assert_int_equal(atomic_load(&members[i].bad), 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(numbers_follow_each_other_and_begin_at_the_clock),
		TEST(the_place_of_op_12_hears_up_to_the_number_that_was_decided),
		TEST(position_within_the_history_gets_all_that_is_above),
		TEST(position_that_proves_nothing_is_a_gap_and_nothing_is_replayed),
		TEST(last_gives_the_newest_also_after_a_gap),
		TEST(history_goes_after_its_time_and_the_number_later),
		TEST(number_that_was_never_pushed_to_goes_earlier),
		TEST(new_life_is_above_the_old_one_also_when_the_clock_was_put_back),
		TEST(history_stays_within_its_bytes_and_stays_consecutive),
		TEST(memory_is_taken_from_the_longest_unused),
		TEST(empty_feeds_count_too),
		TEST(numbers_are_made_no_faster_than_allowed),
		TEST(jump_is_a_gap_for_all_before),
		TEST(take_is_bounded_in_number_and_bytes_and_gives_at_least_one),
		TEST(pushes_to_a_user_are_for_those_who_have_his_stream),
		TEST(what_is_confirmed_ends_at_the_newest_number),
		TEST(join_ends_when_all_was_sent_or_is_skipped),
		TEST(without_memory_nothing_is_numbered),
		TEST(reload_times_are_spread),
		TEST(no_push_falls_between_replay_and_hearing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
