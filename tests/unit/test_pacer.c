/* Tests of comet/pacer, over fake transports. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/pacer.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"
#include "tests/unit/until.h"

#define MEMBERS   6
#define PACED_MAX 64

static struct stage stage;
static struct fake_transport peers[MEMBERS];
static struct connection *c[MEMBERS];
static struct pacer *pacer;
static struct message *message;

static void hold_writes(bool held)
{
	for (unsigned i = 0; i < MEMBERS; i++)
		fake_hold_writes(&peers[i], held);
}

static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	stage_up(&stage);
	for (unsigned i = 0; i < MEMBERS; i++) {
		char key[16];

		fake_init(&peers[i]);
		(void)snprintf(key, sizeof(key), "key-%u", i);
		c[i] = stage_member(&stage, &peers[i], key, "");
	}
	if (pacer_start(&stage.server, &pacer) < 0)
		return -1;
	return message_new(1000, "hello", 5, &message);
}

static int tear_down(void **state)
{
	(void)state;
	hold_writes(false);
	if (pacer != NULL)
		pacer_stop(&pacer);
	seam_reset();
	assert_int_equal(atomic_load(&message->refs), 1);
	message_unref(&message);
	for (unsigned i = 0; i < MEMBERS; i++) {
		stage_leave(&stage, &c[i]);
		fake_fini(&peers[i]);
	}
	stage_down(&stage);
	return 0;
}

static unsigned got_all(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MEMBERS; i++)
		n += fake_got(&peers[i]);
	return n;
}

/* The clock stands an hour ahead: nothing is due by itself, and only a wake-up makes the pacer look. */
static void stop_the_clock(void)
{
	seam_clock_set(clock_now_ns() + 3600 * CLOCK_SEC, 0);
}

static bool somebody_is_written_to(void)
{
	for (unsigned i = 0; i < MEMBERS; i++)
		if (fake_is_writing(&peers[i]))
			return true;
	return false;
}

/* A key of its own in the last bucket. */
static struct seat last_buckets_seat(unsigned i)
{
	for (unsigned n = 0;; n++) {
		struct seat seat;
		char key[32];

		(void)snprintf(key, sizeof(key), "key-%u-%u", i, n);
		if (server_bucket(&stage.server, key) != &stage.server.buckets[3])
			continue;
		assert_int_equal(seat_copy(&(struct seat){.key = key, .session_id = i + 1}, &seat), 0);
		return seat;
	}
}

/* So that one turn lists all. */
static void move_all_to_one_bucket(void)
{
	for (unsigned i = 0; i < MEMBERS; i++) {
		struct connection *replaced;

		(void)bucket_del(server_bucket(&stage.server, c[i]->seat.key), c[i]);
		seat_fini(&c[i]->seat);
		c[i]->seat = last_buckets_seat(i);
		assert_int_equal(bucket_put(&stage.server.buckets[3], c[i], "", &replaced), 0);
	}
}

static void everybody_gets_it_once(void **state)
{
	(void)state;
	assert_int_equal(pacer_add(pacer, message, 1000000), 0);
	for (unsigned i = 0; i < MEMBERS; i++)
		until(fake_got(&peers[i]) == 1);
	until(atomic_load(&message->refs) == 1);
	assert_int_equal(got_all(), MEMBERS);
	assert_string_equal(fake_packet(&peers[0], 0)->body, "hello");
}

static void what_is_not_accepted_is_filtered(void **state)
{
	int64_t before = counters_read(COUNT_FILTERED);

	(void)state;
	c[2]->channel.accepts.all = false;
	assert_int_equal(pacer_add(pacer, message, 1000000), 0);
	until(atomic_load(&message->refs) == 1);
	assert_int_equal(fake_got(&peers[2]), 0);
	assert_int_equal(counters_read(COUNT_FILTERED), before + 1);
}

static void no_more_go_out_than_the_speed_allows(void **state)
{
	(void)state;
	stop_the_clock();
	assert_int_equal(pacer_add(pacer, message, 1), 0);
	/* The first is due at once, the next in a second that never comes. */
	until(got_all() == 1);
	/* A second one makes the pacer look again, after the first has had its turn. */
	assert_int_equal(pacer_add(pacer, message, 1), 0);
	until(got_all() == 2);
	seam_clock_advance(2 * CLOCK_SEC);
	assert_int_equal(pacer_add(pacer, message, 1), 0);
	/* Two more of each of the first, one of the third. */
	until(got_all() == 7);
	pacer_stop(&pacer);
	assert_int_equal(got_all(), 7);
}

/* One that comes while the pacer is at work must not wait until the others are due. */
static void a_push_that_comes_during_another_is_not_overlooked(void **state)
{
	(void)state;
	stop_the_clock();
	hold_writes(true);
	assert_int_equal(pacer_add(pacer, message, 1), 0);
	until(somebody_is_written_to());
	assert_int_equal(pacer_add(pacer, message, 1), 0);
	hold_writes(false);
	until(got_all() == 2);
}

static void who_has_gone_when_its_turn_comes_is_counted(void **state)
{
	int64_t before = counters_read_by(COUNT_DROPPED, DROP_GONE);

	(void)state;
	move_all_to_one_bucket();
	hold_writes(true);
	assert_int_equal(pacer_add(pacer, message, 1000000), 0);
	/* All are listed by the time that the first is written to. */
	until(somebody_is_written_to());
	for (unsigned i = 0; i < MEMBERS; i++)
		(void)bucket_del(server_bucket(&stage.server, c[i]->seat.key), c[i]);
	hold_writes(false);
	until(atomic_load(&message->refs) == 1);
	assert_int_equal(got_all(), 1);
	assert_int_equal(counters_read_by(COUNT_DROPPED, DROP_GONE), before + MEMBERS - 1);
}

static void without_memory_it_is_refused(void **state)
{
	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(pacer_add(pacer, message, 1), -ENOMEM);
}

static int64_t no_memory(void)
{
	return counters_read_by(COUNT_DROPPED, DROP_NO_MEMORY);
}

/* Whichever allocation of the list fails, somebody goes without, and it shows. */
static void without_memory_to_list_them_it_is_counted(void **state)
{
	(void)state;
	for (unsigned after = 1;; after++) {
		int64_t before = no_memory();
		unsigned failures;

		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(pacer_add(pacer, message, 1000000), 0);
		until(atomic_load(&message->refs) == 1);
		failures = seam_failed(SEAM_ALLOC);
		seam_reset();
		if (failures == 0)
			break;
		assert_true(no_memory() > before);
	}
}

static void only_so_many_run_at_a_time(void **state)
{
	(void)state;
	stop_the_clock();
	for (unsigned i = 0; i < PACED_MAX; i++)
		assert_int_equal(pacer_add(pacer, message, 1), 0);
	assert_int_equal(pacer_add(pacer, message, 1), -EAGAIN);
}

static void the_stop_drops_what_is_still_to_be_delivered_and_counts_it(void **state)
{
	int64_t before = counters_read_by(COUNT_DROPPED, DROP_CLOSED);

	(void)state;
	move_all_to_one_bucket();
	stop_the_clock();
	assert_int_equal(pacer_add(pacer, message, 1), 0);
	until(got_all() == 1);
	pacer_stop(&pacer);
	assert_int_equal(counters_read_by(COUNT_DROPPED, DROP_CLOSED), before + MEMBERS - 1);
}

static void a_pacer_that_cannot_start_leaves_nothing_behind(void **state)
{
	struct pacer *other = NULL;

	(void)state;
	for (unsigned after = 0; after < 2; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(pacer_start(&stage.server, &other), -ENOMEM);
	}
	seam_reset();
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(pacer_start(&stage.server, &other), -EAGAIN);
	assert_null(other);
}

#define pacer_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		pacer_test(everybody_gets_it_once),
		pacer_test(what_is_not_accepted_is_filtered),
		pacer_test(no_more_go_out_than_the_speed_allows),
		pacer_test(a_push_that_comes_during_another_is_not_overlooked),
		pacer_test(who_has_gone_when_its_turn_comes_is_counted),
		pacer_test(without_memory_it_is_refused),
		pacer_test(without_memory_to_list_them_it_is_counted),
		pacer_test(only_so_many_run_at_a_time),
		pacer_test(the_stop_drops_what_is_still_to_be_delivered_and_counts_it),
		pacer_test(a_pacer_that_cannot_start_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
