/* Tests of common/base/lock. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/lock.h"
#include "tests/unit/dying.h"

static struct lock bucket, room, channel;
static struct lock fixed = LOCK_STATIC(LOCK_LOG);
static pthread_cond_t cond;

static int set_up(void **state)
{
	(void)state;
	lock_init(&bucket, LOCK_BUCKET);
	lock_init(&room, LOCK_ROOM);
	lock_init(&channel, LOCK_CHANNEL);
	lock_cond_init(&cond);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	lock_fini(&bucket);
	lock_fini(&room);
	lock_fini(&channel);
	return pthread_cond_destroy(&cond);
}

/* ---- order ---- */

static void locks_are_taken_in_order_and_dropped_in_any(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		lock_take(&bucket);
		lock_take(&room);
		lock_take(&channel);
		lock_take(&fixed);
		lock_drop(&room);
		lock_drop(&bucket);
		lock_drop(&fixed);
		lock_drop(&channel);
	}
	/* What was dropped out of order is really forgotten: the outermost may be taken again. */
	lock_take(&channel);
	lock_drop(&channel);
	lock_take(&bucket);
	lock_drop(&bucket);
}

#ifdef LOCK_CHECKS /* the build that is shipped does not look */

static char words[1024];

UNCHECKED static void take_against_the_order(void)
{
	lock_take(&channel);
	lock_take(&bucket);
}

static void order_the_other_way_stops_the_program_and_names_both(void **state)
{
	(void)state;
	assert_int_equal(dying(take_against_the_order, words, sizeof(words)), SIGABRT);
	assert_non_null(strstr(words, "a lock of rank BUCKET taken while one of rank CHANNEL is held"));
}

UNCHECKED static void take_two_of_a_rank(void)
{
	struct lock other;

	lock_init(&other, LOCK_ROOM);
	lock_take(&room);
	lock_take(&other);
}

UNCHECKED static void take_twice(void)
{
	lock_take(&room);
	lock_take(&room);
}

static void two_of_one_rank_stop_the_program(void **state)
{
	(void)state;
	assert_int_equal(dying(take_two_of_a_rank, words, sizeof(words)), SIGABRT);
	assert_int_equal(dying(take_twice, words, sizeof(words)), SIGABRT);
}

UNCHECKED static void drop_what_is_not_held(void)
{
	lock_take(&bucket);
	lock_drop(&room);
}

static void drop_of_a_lock_not_held_stops_the_program(void **state)
{
	(void)state;
	assert_int_equal(dying(drop_what_is_not_held, words, sizeof(words)), SIGABRT);
	assert_non_null(strstr(words, "BUG"));
}

#endif

/* ---- what a lock is for ---- */

static int shared;

static void *add_many(void *arg)
{
	for (int i = 0; i < 10000; i++) {
		lock_take(&room);
		shared++;
		lock_drop(&room);
	}
	return arg;
}

static void one_thread_at_a_time_holds_it(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(shared, 40000);
}

/* ---- waiting ---- */

static void wait_ends_at_its_deadline(void **state)
{
	int64_t deadline = clock_now_ns() + 30 * CLOCK_MS;
	bool signalled = true;

	(void)state;
	lock_take(&channel);
	/* A wake-up for no reason is allowed. */
	while (signalled && clock_now_ns() < deadline)
		signalled = lock_wait_until(&cond, &channel, deadline);
	lock_drop(&channel);
	assert_false(signalled);
	assert_true(clock_now_ns() >= deadline);
}

static void wait_for_a_time_that_is_over_ends_at_once(void **state)
{
	(void)state;
	lock_take(&channel);
	assert_false(lock_wait_until(&cond, &channel, clock_now_ns() - 1));
	assert_false(lock_wait_until(&cond, &channel, 1));
	assert_false(lock_wait_until(&cond, &channel, -3600 * CLOCK_SEC)); /* before the boot */
	lock_drop(&channel);
}

static bool asked, answered;

static void *answer(void *arg)
{
	lock_take(&channel);
	while (!asked)
		lock_wait(&cond, &channel); /* bounded by the main thread, which asks */
	answered = true;
	lock_drop(&channel);
	(void)pthread_cond_broadcast(&cond);
	return arg;
}

static void signal_ends_a_wait_and_the_lock_is_held_again(void **state)
{
	int64_t deadline = clock_now_ns() + 10 * CLOCK_SEC;
	pthread_t thread;
	bool in_time = true;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, answer, NULL), 0);
	lock_take(&channel);
	asked = true;
	(void)pthread_cond_broadcast(&cond);
	while (!answered && in_time)
		in_time = lock_wait_until(&cond, &channel, deadline);
	lock_drop(&channel); /* a BUG unless it is held */
	assert_true(in_time);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(locks_are_taken_in_order_and_dropped_in_any, set_up, tear_down),
#ifdef LOCK_CHECKS
		cmocka_unit_test_setup_teardown(order_the_other_way_stops_the_program_and_names_both, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(two_of_one_rank_stop_the_program, set_up, tear_down),
		cmocka_unit_test_setup_teardown(drop_of_a_lock_not_held_stops_the_program, set_up, tear_down),
#endif
		cmocka_unit_test_setup_teardown(one_thread_at_a_time_holds_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wait_ends_at_its_deadline, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wait_for_a_time_that_is_over_ends_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(signal_ends_a_wait_and_the_lock_is_held_again, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
