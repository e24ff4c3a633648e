/* Tests of comet/feed_source: feeds whose streams are Redis's, over a Redis that is an array. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/feed.h"
#include "comet/feed_source.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"

#define ROOM    "chat://1"
#define BEGIN   UINT64_C(1795999887666400)
#define KEPT    5
#define WALL_MS INT64_C(1796000000000)

/* The stream in Redis: it holds the last KEPT pushes up to `newest`. */
static struct {
	uint64_t newest, oldest;
	int rc;
	bool lost; /* the number is gone, until somebody makes one */
	atomic_uint reads;
	atomic_uint brought; /* pushes by the reads */
	unsigned stays;
	unsigned confirms; /* users told of */
	uint64_t confirmed;
	int confirm_rc;
	void (*confirming)(void); /* while they are told of */
	void (*meanwhile)(void);  /* while the next read is on its way back */
} there;

static struct config cfg;
static struct feeds feeds;
static struct logic_client logic;

static struct message *message(uint64_t number)
{
	struct message *m;

	assert_int_equal(message_new(1000, "x", 1, &m), 0);
	m->number = number;
	return m;
}

static void resume_one(struct resume *r)
{
	uint64_t held = there.newest - there.oldest + 1, missed = there.newest - r->since;

	r->rc = there.rc;
	if (r->rc < 0)
		return;
	if (there.lost && !r->may_make) {
		r->rc = -EBUSY;
		return;
	}
	r->made = there.lost;
	there.lost = false;
	r->newest = there.newest;
	r->gap = r->since > 0 && (r->since > there.newest || missed > held);
	r->n = r->since > 0 && !r->gap ? missed : r->last < held ? r->last : held;
	r->messages = calloc(r->n + 1, sizeof(struct message *));
	assert_non_null(r->messages);
	atomic_fetch_add(&there.brought, (unsigned)r->n);
	for (size_t i = 0; i < r->n; i++)
		r->messages[i] = message(r->newest - r->n + 1 + i);
}

static void resume(void *self, struct resume *all, size_t n, int64_t deadline_ns)
{
	void (*meanwhile)(void) = there.meanwhile;

	(void)self;
	(void)deadline_ns;
	atomic_fetch_add(&there.reads, 1);
	for (size_t i = 0; i < n; i++)
		resume_one(&all[i]);
	there.meanwhile = NULL;
	if (meanwhile != NULL)
		meanwhile();
}

static int stay(void *self, const char *const *rooms, size_t n)
{
	(void)self;
	for (size_t i = 0; i < n; i++)
		assert_memory_equal(rooms[i], ROOM, strlen(ROOM));
	there.stays += (unsigned)n;
	return 0;
}

static int confirm(void *self, const struct acks_of *all, size_t n, int64_t deadline_ns)
{
	(void)self;
	assert_true(deadline_ns > clock_now_ns());
	for (size_t i = 0; i < n; i++) {
		assert_memory_equal(all[i].name, ROOM, strlen(ROOM));
		there.confirmed = acks_get(&all[i].acks, "phone");
	}
	there.confirms += (unsigned)n;
	if (there.confirming != NULL)
		there.confirming();
	return there.confirm_rc;
}

static int set_up(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_SEC, WALL_MS);
	memset(&there, 0, sizeof(there));
	there.newest = BEGIN + 10;
	there.oldest = BEGIN + 10 - KEPT + 1;
	cfg = (struct config){
		.stream_rooms = (char *)(uintptr_t) "chat:5/10m",
		.stream_position_ttl = 24 * 3600 * 1000,
		.stream_idle_ttl = 3600 * 1000,
		.stream_memory = 1 << 20,
		.stream_bytes = 1 << 16,
		.stream_new = 200,
	};
	logic = (struct logic_client){.resume = resume, .stay = stay, .confirm = confirm};
	feeds_init(&feeds, &cfg, &logic);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(counters_read(COUNT_STREAMS), 0); /* who has no members stays not */
	feeds_fini(&feeds);
	seam_reset();
	return 0;
}

static int try_hold(struct feed **f)
{
	struct feed_asked asked = {.room = ROOM};

	feed_hold(&feeds, &asked, 1, clock_now_ns() + CLOCK_SEC);
	*f = asked.feed;
	return asked.rc;
}

static struct feed *hold(void)
{
	struct feed *f;

	assert_int_equal(try_hold(&f), 0);
	return f;
}

static struct feed_place decide(struct feed *f, uint64_t since)
{
	struct feed_place place;

	assert_int_equal(
		feed_decide(&feeds, f, &(struct feed_wish){.since = since}, clock_now_ns() + CLOCK_SEC, NULL, &place),
		0);
	return place;
}

static unsigned above(struct feed *f, uint64_t number)
{
	struct message *taken[16];
	int n = feed_take(&feeds, f, number, taken, 16, SIZE_MAX);

	for (int i = 0; i < n; i++) {
		assert_int_equal(taken[i]->number, number + 1 + (uint64_t)i);
		message_unref(&taken[i]);
	}
	assert_true(n >= 0);
	return (unsigned)n;
}

/* The push with this number comes. */
static int comes(uint64_t number)
{
	struct message *m = message(number);
	int rc = feed_append(&feeds, ROOM, m, NULL);

	message_unref(&m);
	return rc;
}

static void is_pushed(uint64_t n)
{
	there.newest += n;
	there.oldest = there.newest - KEPT + 1;
}

static void first_join_reads_and_later_ones_do_not(void **state)
{
	struct feed *f = hold(), *g = hold();

	(void)state;
	assert_ptr_equal(f, g);
	assert_int_equal(there.reads, 1);
	assert_int_equal(decide(f, 0).at, there.newest);
	assert_int_equal(above(f, there.newest - KEPT), KEPT);
	assert_false(decide(f, there.newest - KEPT).gap);
	assert_true(decide(f, there.newest - KEPT - 1).gap);
	feed_release(&feeds, &f);
	assert_int_equal(comes(there.newest + 1), 0);
	assert_int_equal(above(g, there.newest), 1);
	feed_release(&feeds, &g);
	assert_int_equal(counters_read(COUNT_STREAMS), 0);
	f = hold();
	assert_int_equal(there.reads, 2);
	feed_release(&feeds, &f);
}

static void two_come_meanwhile(void)
{
	assert_int_equal(comes(there.newest), 0); /* which was read, too */
	assert_int_equal(comes(there.newest + 1), 0);
	assert_int_equal(comes(there.newest + 2), 0);
}

static void what_comes_while_it_is_read_follows(void **state)
{
	struct feed *f;

	(void)state;
	there.meanwhile = two_come_meanwhile;
	f = hold();
	assert_int_equal(there.reads, 1);
	assert_int_equal(decide(f, 0).at, there.newest + 2);
	assert_int_equal(comes(there.newest + 3), 0);
	assert_int_equal(above(f, there.newest), 3);
	feed_release(&feeds, &f);
}

static void some_come_behind_a_hole(void)
{
	assert_int_equal(comes(there.newest + 3), 0);
	is_pushed(3);
}

static void hole_while_it_is_read_has_it_read_again(void **state)
{
	struct feed *f;

	(void)state;
	there.meanwhile = some_come_behind_a_hole;
	f = hold();
	assert_int_equal(there.reads, 2);
	assert_int_equal(decide(f, 0).at, there.newest);
	feed_release(&feeds, &f);
}

/* The word of it comes to nobody: the one member is deaf. */
static void it_is_cleared(void)
{
	uint64_t at = there.newest + 60000000;

	(void)feed_jump(&feeds, ROOM, &at, NULL);
	there.newest = at;
	there.oldest = at + 1;
}

static void jump_while_it_is_read_has_it_read_again(void **state)
{
	uint64_t had = there.newest;
	struct feed *f;

	(void)state;
	there.meanwhile = it_is_cleared;
	f = hold();
	assert_int_equal(there.reads, 2);
	assert_true(decide(f, had).gap);
	assert_int_equal(decide(f, 0).at, had + 60000000);
	feed_release(&feeds, &f);
}

static void what_cannot_be_read_is_not_joined(void **state)
{
	struct feed *f;

	(void)state;
	there.rc = -ERR_NO_LOGIC;
	assert_int_equal(try_hold(&f), -ERR_NO_LOGIC);
	assert_null(f);
	there.rc = -EBUSY;
	assert_int_equal(try_hold(&f), -EBUSY);
	there.rc = 0;
	f = hold();
	feed_release(&feeds, &f);
}

static void client_that_knows_more_has_it_read_again(void **state)
{
	struct feed *f = hold();
	_Atomic uint64_t old = 0;
	struct feed_place place;
	unsigned brought;

	(void)state;
	is_pushed(2);
	place = decide(f, there.newest);
	assert_false(place.gap);
	assert_int_equal(place.at, there.newest);
	assert_int_equal(there.reads, 2);
	assert_int_equal(above(f, there.newest - KEPT), KEPT);
	/* The pushes still come: to members that were here before. */
	assert_int_equal(comes(there.newest - 1), 0);
	assert_int_equal(comes(there.newest), 0);
	assert_int_equal(comes(there.newest), -EALREADY);
	assert_int_equal(comes(there.newest + 1), 0);
	assert_int_equal(above(f, there.newest), 1);
	/* Nobody knows that much, and whoever says so has no history read for it. */
	is_pushed(1);
	brought = there.brought;
	place = decide(f, there.newest + 2);
	assert_true(place.gap);
	assert_int_equal(place.cause, GAP_AHEAD);
	assert_int_equal(there.reads, 3);
	assert_int_equal(there.brought, brought);
	/* It began anew. */
	is_pushed(100);
	assert_true(decide(f, there.newest + 2).gap);
	assert_int_equal(there.reads, 4);
	assert_int_equal(above(f, there.newest - KEPT), KEPT);
	assert_true(decide(f, MESSAGE_NUMBERS_END - 1).gap);
	assert_int_equal(there.reads, 4);
	there.rc = -ERR_NO_LOGIC;
	assert_int_equal(
		feed_decide(&feeds, f, &(struct feed_wish){.since = there.newest + 9}, INT64_MAX, &old, &place),
		-ERR_NO_LOGIC);
	assert_int_equal(old, 0);
	feed_release(&feeds, &f);
}

static uint64_t handed[16];
static unsigned n_handed;
static bool noticed;

static int hand(void *arg, struct message *m)
{
	(void)arg;
	noticed |= m->notice;
	handed[n_handed++] = m->number;
	if (m->notice)
		(void)feed_jump(&feeds, ROOM, &m->number, NULL);
	return m->notice ? 0 : feed_append(&feeds, ROOM, m, NULL);
}

static int fill(uint64_t number)
{
	n_handed = 0;
	noticed = false;
	return feed_source_fill(&feeds, ROOM, number, hand, NULL);
}

static void missing_pushes_are_read_and_come_in_order(void **state)
{
	struct feed *f = hold();
	uint64_t at = there.newest;

	(void)state;
	assert_int_equal(fill(at + 1), 0);
	assert_int_equal(n_handed, 0);
	is_pushed(3);
	assert_int_equal(comes(at + 3), -ESTALE);
	assert_int_equal(fill(at + 3), 0);
	assert_int_equal(n_handed, 2);
	assert_int_equal(handed[0], at + 1);
	assert_int_equal(handed[1], at + 2);
	assert_int_equal(comes(at + 3), 0);
	assert_int_equal(above(f, at), 3);
	feed_release(&feeds, &f);
}

static void what_is_not_there_any_more_is_a_gap_for_the_members(void **state)
{
	struct feed *f = hold();
	uint64_t at = there.newest;

	(void)state;
	is_pushed(9);
	assert_int_equal(fill(at + 9), 0);
	assert_int_equal(n_handed, 1);
	assert_true(noticed);
	assert_int_equal(handed[0], at + 8);
	assert_int_equal(comes(at + 9), 0);
	assert_int_equal(decide(f, at).cause, GAP_JUMP);
	assert_int_equal(above(f, at + 8), 1);
	feed_release(&feeds, &f);
}

static void what_cannot_be_read_for_long_is_a_gap(void **state)
{
	struct feed *f = hold();
	uint64_t at = there.newest;

	(void)state;
	there.rc = -ERR_NO_LOGIC;
	assert_int_equal(fill(at + 3), -EAGAIN);
	seam_clock_advance(6 * CLOCK_SEC);
	assert_int_equal(fill(at + 3), 0);
	assert_true(noticed);
	assert_int_equal(comes(at + 3), 0);
	feed_release(&feeds, &f);
}

static void history_that_was_given_up_is_read_again(void **state)
{
	struct feed *f = hold();

	(void)state;
	lock_take(&feeds.lock);
	f->given_up = f->history.at;
	feed_table_forget_history(&feeds, f);
	lock_drop(&feeds.lock);
	assert_false(decide(f, there.newest - 2).gap);
	assert_int_equal(there.reads, 2);
	assert_int_equal(above(f, there.newest - 2), 2);
	feed_release(&feeds, &f);
}

static void numbers_of_rooms_with_members_are_renewed(void **state)
{
	struct feed *f = hold();

	(void)state;
	feed_source_stay(&feeds);
	assert_int_equal(there.stays, 0);
	seam_clock_advance(1000 * CLOCK_SEC);
	feed_source_stay(&feeds);
	feed_source_stay(&feeds);
	assert_int_equal(there.stays, 1);
	feed_release(&feeds, &f);
}

/* A user's stream is one for each who is connected: they are many, and pushes wait for none of it for long. */
static void numbers_of_many_are_renewed_once_each(void **state)
{
	enum { MANY = 5000 };
	struct feed_asked *all = calloc(MANY, sizeof(*all));
	char(*names)[24] = calloc(MANY, sizeof(*names));

	(void)state;
	there.oldest = there.newest + 1;
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%s-%u", ROOM, i);
		all[i].room = names[i];
	}
	feed_hold(&feeds, all, MANY, clock_now_ns() + CLOCK_SEC);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(all[i].rc, 0);
	seam_clock_advance(1000 * CLOCK_SEC);
	feed_source_stay(&feeds);
	assert_int_equal(there.stays, MANY);
	feed_source_stay(&feeds);
	assert_int_equal(there.stays, MANY);
	for (unsigned i = 0; i < MANY; i++)
		feed_release(&feeds, &all[i].feed);
	free(names);
	free(all);
}

static void without_memory_nobody_joins_and_nothing_is_left(void **state)
{
	struct feed *f;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		seam_fail(SEAM_ALLOC, i, 1, ENOMEM);
		assert_int_equal(try_hold(&f), -ENOMEM);
		assert_null(f);
		seam_reset();
		seam_clock_set(CLOCK_SEC, WALL_MS);
	}
}

/* ---- many at once ---- */

#define JOINERS 6

static void *join_and_leave(void *arg)
{
	(void)arg;
	for (int i = 0; i < 500; i++) {
		struct feed *f;

		if (try_hold(&f) < 0)
			continue;
		(void)decide(f, there.newest - (unsigned)i % 3);
		feed_release(&feeds, &f);
	}
	return NULL;
}

static void many_join_and_leave_at_once(void **state)
{
	pthread_t threads[JOINERS];

	(void)state;
	seam_reset();
	for (int i = 0; i < JOINERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, join_and_leave, NULL), 0);
	for (int i = 0; i < JOINERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_in_range(there.reads, 1, JOINERS * 500);
}

/* While his other devices were on other comets nobody told this one of pushes, and a connection of before still holds the stream. */
static void second_device_of_a_user_has_what_came_elsewhere(void **state)
{
	struct feed_asked first = {.room = ROOM}, second = {.room = ROOM};

	(void)state;
	feed_hold(&feeds, &first, 1, clock_now_ns() + CLOCK_SEC);
	assert_int_equal(first.rc, 0);
	assert_int_equal(feed_catch_up(&feeds, &first, clock_now_ns() + CLOCK_SEC), 0);
	assert_int_equal(atomic_load(&there.reads), 1);
	there.newest += 2;
	feed_hold(&feeds, &second, 1, clock_now_ns() + CLOCK_SEC);
	assert_int_equal(decide(second.feed, BEGIN + 10).replay, 0);
	assert_int_equal(feed_catch_up(&feeds, &second, clock_now_ns() + CLOCK_SEC), 0);
	assert_int_equal(atomic_load(&there.reads), 2);
	assert_int_equal(decide(second.feed, BEGIN + 10).replay, 2);
	feed_release(&feeds, &second.feed);
	feed_release(&feeds, &first.feed);
}

/* A key of Redis was evicted: the first device holds the stream, and nobody pushes to the user for long. */
static void second_device_gets_in_though_redis_has_lost_the_number(void **state)
{
	struct feed_asked first = {.room = ROOM}, second = {.room = ROOM};

	(void)state;
	feed_hold(&feeds, &first, 1, clock_now_ns() + CLOCK_SEC);
	there.lost = true;
	there.newest = BEGIN + 1000;
	there.oldest = there.newest + 1;
	feed_hold(&feeds, &second, 1, clock_now_ns() + CLOCK_SEC);
	assert_int_equal(feed_catch_up(&feeds, &second, clock_now_ns() + CLOCK_SEC), 0);
	assert_true(decide(second.feed, BEGIN + 9).gap);
	assert_int_equal(decide(second.feed, 0).newest, BEGIN + 1000);
	feed_release(&feeds, &second.feed);
	feed_release(&feeds, &first.feed);
}

static void what_is_confirmed_is_told_once_and_what_could_not_be_again(void **state)
{
	struct feed *f = hold(), *gone;

	(void)state;
	feed_source_tell(&feeds);
	assert_int_equal(there.confirms, 0);
	feed_confirm(&feeds, f, "phone", BEGIN + 1);
	feed_confirm(&feeds, f, "phone", BEGIN + 3);
	there.confirm_rc = -ERR_NO_LOGIC;
	feed_source_tell(&feeds);
	feed_confirm(&feeds, f, "phone", BEGIN + 2);
	there.confirm_rc = 0;
	feed_source_tell(&feeds);
	assert_int_equal(there.confirms, 2);
	assert_int_equal(there.confirmed, BEGIN + 3);
	feed_source_tell(&feeds);
	assert_int_equal(there.confirms, 2);
	/* At a connection's end, at once; and of one that has gone, if that failed. */
	feed_confirm(&feeds, f, "phone", BEGIN + 4);
	feed_source_tell_of(&feeds, f, clock_now_ns() + CLOCK_SEC);
	assert_int_equal(there.confirms, 3);
	feed_confirm(&feeds, f, "phone", BEGIN + 5);
	there.confirm_rc = -ERR_NO_LOGIC;
	feed_source_tell_of(&feeds, f, clock_now_ns() + CLOCK_SEC);
	gone = f;
	feed_release(&feeds, &f);
	there.confirm_rc = 0;
	assert_int_equal(gone->held, 1);
	feed_source_tell(&feeds);
	assert_int_equal(there.confirms, 5);
	assert_int_equal(there.confirmed, BEGIN + 5);
	assert_int_equal(feeds.all.count, 0);
	assert_int_equal(feeds.bytes, 0);
}

static struct feed *ends;
static unsigned waiting;

/* Another connection of that user ends while the first one waits. */
static void end_another(void)
{
	if (++waiting == 1000)
		return;
	feed_confirm(&feeds, ends, "phone", BEGIN + 1);
	feed_source_tell_of(&feeds, ends, clock_now_ns() + CLOCK_SEC);
}

/* Each has a thread, and another takes its place: where Redis does not answer, and all clients go, that would be one for each of them. */
static void not_all_connections_that_end_wait_until_redis_knows(void **state)
{
	(void)state;
	ends = hold();
	waiting = 0;
	there.confirming = end_another;
	feed_confirm(&feeds, ends, "phone", BEGIN + 1);
	feed_source_tell_of(&feeds, ends, clock_now_ns() + CLOCK_SEC);
	assert_in_range(waiting, 16, 256);
	assert_int_equal(there.confirms, waiting);
	/* What they leave is told as ever, and the next one waits again. */
	there.confirming = NULL;
	feed_source_tell(&feeds);
	assert_int_equal(there.confirms, waiting + 1);
	feed_confirm(&feeds, ends, "phone", BEGIN + 2);
	feed_source_tell_of(&feeds, ends, clock_now_ns() + CLOCK_SEC);
	assert_int_equal(there.confirms, waiting + 2);
	feed_release(&feeds, &ends);
	feed_source_tell(&feeds);
	assert_int_equal(feeds.all.count, 0);
}

/* The thread would wait for it once for each thousand. */
static void once_redis_has_not_answered_the_others_are_told_the_next_time(void **state)
{
	enum { MANY = 2500 };
	struct feed_asked *all = calloc(MANY, sizeof(*all));
	char(*names)[24] = calloc(MANY, sizeof(*names));

	(void)state;
	assert_non_null(all);
	assert_non_null(names);
	there.oldest = there.newest + 1;
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%s-%u", ROOM, i);
		all[i].room = names[i];
	}
	feed_hold(&feeds, all, MANY, clock_now_ns() + CLOCK_SEC);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(all[i].rc, 0);
		feed_confirm(&feeds, all[i].feed, "phone", BEGIN + 1);
	}
	there.confirm_rc = -ERR_NO_LOGIC;
	feed_source_tell(&feeds);
	assert_true(there.confirms < MANY / 2);
	there.confirms = 0;
	there.confirm_rc = 0;
	feed_source_tell(&feeds);
	assert_int_equal(there.confirms, MANY);
	assert_null(feeds.to_tell);
	for (unsigned i = 0; i < MANY; i++)
		feed_release(&feeds, &all[i].feed);
	free(names);
	free(all);
}

static void what_was_not_told_is_nobody_s_at_the_end(void **state)
{
	struct feed *f = hold();

	(void)state;
	feed_confirm(&feeds, f, "phone", BEGIN + 1);
	feed_release(&feeds, &f);
	assert_int_equal(feeds.all.count, 1);
	lock_take(&feeds.lock);
	feed_source_forget_acks(&feeds);
	lock_drop(&feeds.lock);
	assert_int_equal(feeds.all.count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(second_device_of_a_user_has_what_came_elsewhere),
		TEST(second_device_gets_in_though_redis_has_lost_the_number),
		TEST(first_join_reads_and_later_ones_do_not),
		TEST(what_comes_while_it_is_read_follows),
		TEST(hole_while_it_is_read_has_it_read_again),
		TEST(jump_while_it_is_read_has_it_read_again),
		TEST(what_cannot_be_read_is_not_joined),
		TEST(client_that_knows_more_has_it_read_again),
		TEST(missing_pushes_are_read_and_come_in_order),
		TEST(what_is_not_there_any_more_is_a_gap_for_the_members),
		TEST(what_cannot_be_read_for_long_is_a_gap),
		TEST(history_that_was_given_up_is_read_again),
		TEST(numbers_of_rooms_with_members_are_renewed),
		TEST(numbers_of_many_are_renewed_once_each),
		TEST(what_is_confirmed_is_told_once_and_what_could_not_be_again),
		TEST(not_all_connections_that_end_wait_until_redis_knows),
		TEST(once_redis_has_not_answered_the_others_are_told_the_next_time),
		TEST(what_was_not_told_is_nobody_s_at_the_end),
		TEST(without_memory_nobody_joins_and_nothing_is_left),
		TEST(many_join_and_leave_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
