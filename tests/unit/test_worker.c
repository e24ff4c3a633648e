/* Tests of common/base/worker. After each case no thread is left. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"
#include "common/base/thread.h"
#include "common/base/worker.h"
#include "tests/unit/dying.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define HOUR_NS (3600 * CLOCK_SEC)

static struct worker worker;
static atomic_uint n_rounds;
static atomic_bool gate_open;

static int set_up(void **state)
{
	(void)state;
	atomic_store(&n_rounds, 0);
	atomic_store(&gate_open, false);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	atomic_store(&gate_open, true);
	worker_stop(&worker);
	return counters_read(COUNT_THREADS) == 0 && worker.thread == NULL && worker.magic == 0 ? 0 : -1;
}

/* ---- what workers do here ---- */

static void nap_for(void *arg)
{
	const int64_t *nap_ns = arg;

	do
		atomic_fetch_add(&n_rounds, 1);
	while (worker_nap(&worker, clock_now_ns() + *nap_ns));
}

static void wait_for_work(void *arg)
{
	(void)arg;
	while (worker_wait(&worker, WORKER_IDLE))
		atomic_fetch_add(&n_rounds, 1);
}

/* Asks for its first nap when it is stopped already. */
static void begin_late(void *arg)
{
	(void)arg;
	until(worker_is_stopping(&worker));
	while (worker_nap(&worker, clock_now_ns() + HOUR_NS))
		atomic_fetch_add(&n_rounds, 1);
}

static void work_at_the_gate(void *arg)
{
	(void)arg;
	do {
		atomic_fetch_add(&n_rounds, 1);
		until(atomic_load(&gate_open));
	} while (worker_wait(&worker, WORKER_IDLE));
}

static void start(void (*work)(void *arg), int64_t nap_ns)
{
	static int64_t kept_ns;

	kept_ns = nap_ns;
	assert_int_equal(worker_start(&worker, "worker", work, &kept_ns), 0);
}

/* ---- sleeping ---- */

static void it_works_again_after_each_nap(void **state)
{
	(void)state;
	start(nap_for, CLOCK_MS);
	until(atomic_load(&n_rounds) > 3);
}

static void a_nap_lasts_until_its_time(void **state)
{
	int64_t begun = clock_now_ns();

	(void)state;
	start(nap_for, HOUR_NS);
	assert_true(worker_nap(&worker, begun + 30 * CLOCK_MS));
	assert_true(clock_now_ns() - begun >= 30 * CLOCK_MS);
	assert_int_equal(atomic_load(&n_rounds), 1);
}

static void a_time_that_is_over_is_no_nap(void **state)
{
	(void)state;
	start(nap_for, HOUR_NS);
	assert_true(worker_nap(&worker, clock_now_ns() - CLOCK_SEC));
	assert_true(worker_nap(&worker, INT64_MIN));
	/* Nor is one by a clock that is behind the kernel's. */
	seam_clock_set(CLOCK_SEC, 0);
	assert_true(worker_nap(&worker, clock_now_ns() + CLOCK_MS));
}

static void to_be_woken_does_not_end_a_nap(void **state)
{
	(void)state;
	start(nap_for, HOUR_NS);
	until(atomic_load(&n_rounds) == 1);
	for (int i = 0; i < 20; i++) {
		worker_wake(&worker);
		(void)until_is_late(&(struct timespec){0});
	}
	assert_int_equal(atomic_load(&n_rounds), 1);
}

static void one_that_waits_is_woken(void **state)
{
	(void)state;
	start(wait_for_work, 0);
	for (unsigned i = 1; i < 100; i++) {
		worker_wake(&worker);
		until(atomic_load(&n_rounds) == i);
	}
}

static void others_who_nap_do_not_take_the_wake(void **state)
{
	(void)state;
	start(wait_for_work, 0);
	worker_wake(&worker);
	assert_true(worker_nap(&worker, clock_now_ns() + CLOCK_MS));
	until(atomic_load(&n_rounds) == 1);
}

static void a_wake_while_it_works_is_not_forgotten_and_many_are_one(void **state)
{
	(void)state;
	start(work_at_the_gate, 0);
	until(atomic_load(&n_rounds) == 1);
	for (int i = 0; i < 5; i++)
		worker_wake(&worker);
	atomic_store(&gate_open, true);
	until(atomic_load(&n_rounds) == 2);
	for (int i = 0; i < 20; i++)
		(void)until_is_late(&(struct timespec){0});
	assert_int_equal(atomic_load(&n_rounds), 2);
}

static void waiting_too_ends_with_its_time(void **state)
{
	int64_t begun = clock_now_ns();

	(void)state;
	start(nap_for, HOUR_NS);
	assert_true(worker_wait(&worker, begun + 20 * CLOCK_MS));
	assert_true(clock_now_ns() - begun >= 20 * CLOCK_MS);
}

/* ---- the stop ---- */

static void the_stop_ends_a_nap(void **state)
{
	(void)state;
	start(nap_for, HOUR_NS);
	until(atomic_load(&n_rounds) == 1);
	assert_false(worker_is_stopping(&worker));
	worker_stop(&worker);
	assert_int_equal(atomic_load(&n_rounds), 1);
}

static void the_stop_ends_a_wait(void **state)
{
	(void)state;
	start(wait_for_work, 0);
	worker_stop(&worker);
	assert_int_equal(atomic_load(&n_rounds), 0);
}

static void who_is_stopped_before_the_first_nap_does_not_nap(void **state)
{
	(void)state;
	start(begin_late, 0);
	worker_stop(&worker);
	assert_int_equal(atomic_load(&n_rounds), 0);
}

static void a_wake_and_the_stop_at_once_are_a_stop(void **state)
{
	(void)state;
	start(work_at_the_gate, 0);
	until(atomic_load(&n_rounds) == 1);
	worker_wake(&worker);
	worker_ask_to_stop(&worker);
	atomic_store(&gate_open, true);
	worker_stop(&worker);
	assert_int_equal(atomic_load(&n_rounds), 1);
}

static void asked_to_stop_all_naps_end_and_the_thread_is_still_to_join(void **state)
{
	(void)state;
	start(nap_for, HOUR_NS);
	worker_ask_to_stop(&worker);
	assert_true(worker_is_stopping(&worker));
	assert_false(worker_nap(&worker, clock_now_ns() + HOUR_NS));
	assert_false(worker_wait(&worker, WORKER_IDLE));
	worker_stop(&worker);
}

static void it_can_be_started_again(void **state)
{
	(void)state;
	for (unsigned i = 1; i < 4; i++) {
		start(nap_for, HOUR_NS);
		until(atomic_load(&n_rounds) == i);
		worker_stop(&worker);
	}
}

/* ---- failures ---- */

static void without_memory_or_threads_it_does_not_start(void **state)
{
	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(worker_start(&worker, "worker", wait_for_work, NULL), -ENOMEM);
	assert_null(worker.thread);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(worker_start(&worker, "worker", wait_for_work, NULL), -EAGAIN);
	assert_null(worker.thread);
	/* There is nothing to stop, which is no fault. */
	worker_ask_to_stop(&worker);
	worker_stop(&worker);
}

static void wake_nobody(void)
{
	struct worker none = {.thread = NULL};

	worker_wake(&none);
}

static void to_wake_one_that_was_not_started_is_a_fault(void **state)
{
	char words[200];

	(void)state;
	assert_int_equal(dying(wake_nobody, words, sizeof(words)), SIGABRT);
	assert_non_null(strstr(words, "common/base/worker.c"));
}

#define worker_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		worker_test(it_works_again_after_each_nap),
		worker_test(a_nap_lasts_until_its_time),
		worker_test(a_time_that_is_over_is_no_nap),
		worker_test(to_be_woken_does_not_end_a_nap),
		worker_test(one_that_waits_is_woken),
		worker_test(others_who_nap_do_not_take_the_wake),
		worker_test(a_wake_while_it_works_is_not_forgotten_and_many_are_one),
		worker_test(waiting_too_ends_with_its_time),
		worker_test(the_stop_ends_a_nap),
		worker_test(the_stop_ends_a_wait),
		worker_test(who_is_stopped_before_the_first_nap_does_not_nap),
		worker_test(a_wake_and_the_stop_at_once_are_a_stop),
		worker_test(asked_to_stop_all_naps_end_and_the_thread_is_still_to_join),
		worker_test(it_can_be_started_again),
		worker_test(without_memory_or_threads_it_does_not_start),
		worker_test(to_wake_one_that_was_not_started_is_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
