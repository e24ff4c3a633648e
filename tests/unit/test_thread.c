/* Tests of common/base/thread. After each case no thread and no stack is left. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/counters.h"
#include "common/base/stack.h"
#include "common/base/thread.h"
#include "tests/unit/dying.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

static const enum thread_kind kinds[] = {THREAD_SERVICE, THREAD_CONNECTION};

static atomic_bool gate_open;
static atomic_int n_ran;

static int set_up(void **state)
{
	(void)state;
	atomic_store(&gate_open, false);
	atomic_store(&n_ran, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	atomic_store(&gate_open, true);
	until(thread_reap() == 0);
	thread_fini();
	return counters_read(COUNT_THREADS) == 0 ? 0 : -1;
}

/* ---- what threads do here ---- */

struct seen {
	char name[16];
	sigset_t blocked;
	void *stack;
	size_t stack_bytes;
	char *local;
};

static void *look_around(void *arg)
{
	struct seen *seen = arg;
	pthread_attr_t attr;
	char local;

	seen->local = &local;
	(void)prctl(PR_GET_NAME, seen->name);
	(void)pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		(void)pthread_attr_getstack(&attr, &seen->stack, &seen->stack_bytes);
		(void)pthread_attr_destroy(&attr);
	}
	atomic_fetch_add(&n_ran, 1); /* what was seen may now be read */
	return NULL;
}

static void *run_once(void *arg)
{
	atomic_fetch_add(&n_ran, 1);
	return arg;
}

/* Bounded by the test, which opens the gate in its teardown at the latest. */
static void *wait_at_the_gate(void *arg)
{
	atomic_fetch_add(&n_ran, 1);
	while (!atomic_load(&gate_open))
		(void)sched_yield();
	return arg;
}

/* ---- spawn and join ---- */

static void thread_has_its_name_and_no_signals(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct seen seen = {.local = NULL};
		struct thread *t;

		assert_int_equal(thread_spawn(kinds[i], "a thread", look_around, &seen, &t), 0);
		assert_int_equal(counters_read(COUNT_THREADS_FAILED), 0);
		thread_join(&t);
		assert_null(t);
		assert_string_equal(seen.name, "a thread");
		assert_true(sigismember(&seen.blocked, SIGTERM));
		assert_true(sigismember(&seen.blocked, SIGINT));
		assert_true(sigismember(&seen.blocked, SIGHUP));
		assert_true(sigismember(&seen.blocked, SIGPIPE));
		assert_false(sigismember(&seen.blocked, SIGSEGV));
	}
}

static void connection_runs_on_a_small_stack(void **state)
{
	struct seen seen = {.local = NULL};
	struct thread *t;

	(void)state;
	assert_int_equal(thread_spawn(THREAD_CONNECTION, "reader", look_around, &seen, &t), 0);
	thread_join(&t);
	assert_in_range(seen.stack_bytes, STACK_BYTES - 1024, STACK_BYTES);
	assert_true(thread_spawn(THREAD_SERVICE, "timer", look_around, &seen, &t) == 0);
	thread_join(&t);
	assert_true(seen.stack_bytes > STACK_BYTES);
}

static void joined_thread_leaves_its_stack_to_the_next(void **state)
{
	struct seen first = {.local = NULL}, second = {.local = NULL};
	struct thread *t;

	(void)state;
	assert_int_equal(thread_spawn(THREAD_CONNECTION, "first", look_around, &first, &t), 0);
	thread_join(&t);
	assert_int_equal(thread_spawn(THREAD_CONNECTION, "second", look_around, &second, &t), 0);
	thread_join(&t);
	assert_non_null(first.stack);
	assert_ptr_equal(first.stack, second.stack);
}

static void gauge_counts_those_in_their_functions(void **state)
{
	struct thread *threads[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(thread_spawn(kinds[i], "waits", wait_at_the_gate, NULL, &threads[i]), 0);
	assert_int_equal(counters_read(COUNT_THREADS), 2);
	atomic_store(&gate_open, true);
	for (int i = 0; i < 2; i++)
		thread_join(&threads[i]);
	assert_int_equal(counters_read(COUNT_THREADS), 0);
}

/* ---- unjoined ---- */

static void reap_says_how_many_still_run(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(thread_spawn_unjoined(kinds[i % 2], "waits", wait_at_the_gate, NULL), 0);
	assert_int_equal(thread_reap(), 6);
	atomic_store(&gate_open, true);
	until(thread_reap() == 0);
	assert_int_equal(atomic_load(&n_ran), 6);
	/* All are joined: their stacks may be given back. */
	thread_fini();
}

/* ---- trimming ---- */

struct trimmed {
	char below;
	bool here_is_well;
};

static void *trim(void *arg)
{
	struct trimmed *trimmed = arg;
	struct seen seen = {.local = NULL};
	char here[64];

	(void)look_around(&seen);
	/* The far end, as a handshake's deep calls would have left it. */
	*(char *)seen.stack = 'x';
	memset(here, 'y', sizeof(here));
	thread_trim_stack();
	trimmed->below = *(char *)seen.stack;
	trimmed->here_is_well = here[0] == 'y' && here[sizeof(here) - 1] == 'y';
	return NULL;
}

static void trimmed_stack_keeps_only_what_is_in_use(void **state)
{
	struct trimmed trimmed = {.below = 'z'};
	struct thread *t;

	(void)state;
	assert_int_equal(thread_spawn(THREAD_CONNECTION, "trims", trim, &trimmed, &t), 0);
	thread_join(&t);
	assert_int_equal(trimmed.below, 0);
	assert_true(trimmed.here_is_well);
	/* That the kernel does not want it is no harm. */
	seam_fail(SEAM_MADVISE, 0, 1, EINVAL);
	assert_int_equal(thread_spawn(THREAD_CONNECTION, "trims", trim, &trimmed, &t), 0);
	thread_join(&t);
	assert_int_equal(seam_failed(SEAM_MADVISE), 1);
	assert_int_equal(trimmed.below, 'x');
	assert_true(trimmed.here_is_well);
}

static void stacks_of_others_are_not_trimmed(void **state)
{
	struct trimmed trimmed;
	struct thread *t;

	(void)state;
	seam_fail(SEAM_MADVISE, 0, 1, EINVAL);
	thread_trim_stack();
	assert_int_equal(thread_spawn(THREAD_SERVICE, "service", trim, &trimmed, &t), 0);
	thread_join(&t);
	assert_int_equal(seam_failed(SEAM_MADVISE), 0);
	assert_int_equal(trimmed.below, 'x');
}

/* ---- a burst of ends ---- */

#define IN_A_ROW 300

static void those_that_left_keep_no_stack(void **state)
{
	static struct seen seen[IN_A_ROW];
	int different = 0;

	(void)state;
	for (int i = 0; i < IN_A_ROW; i++) {
		bool new_one = true;

		assert_int_equal(thread_spawn_unjoined(THREAD_CONNECTION, "one of many", look_around, &seen[i]), 0);
		/* It ends, and is not joined by us. */
		until(atomic_load(&n_ran) == i + 1 && counters_read(COUNT_THREADS) == 0);
		for (int j = 0; j < i; j++)
			new_one &= seen[j].stack != seen[i].stack;
		different += new_one;
	}
	/* One leaves, one has left, and some more where this machine is busy; each with its own is what must not be. */
	assert_in_range(different, 1, IN_A_ROW / 4);
}

static void burst_of_ends_joins_itself(void **state)
{
	enum { BURST = 200 };

	(void)state;
	for (int i = 0; i < BURST; i++)
		assert_int_equal(thread_spawn_unjoined(THREAD_CONNECTION, "burst", wait_at_the_gate, NULL), 0);
	until(atomic_load(&n_ran) == BURST);
	atomic_store(&gate_open, true);
	until(thread_reap() == 0);
	assert_int_equal(counters_read(COUNT_THREADS), 0);
}

/* ---- bad luck ---- */

static void assert_fails(int wanted, unsigned cause)
{
	int64_t before = counters_read_by(COUNT_THREADS_FAILED, cause);
	struct thread *t = NULL;

	assert_int_equal(thread_spawn(THREAD_CONNECTION, "never", run_once, NULL, &t), wanted);
	assert_null(t);
	assert_int_equal(counters_read_by(COUNT_THREADS_FAILED, cause), before + 1);
	assert_int_equal(counters_read(COUNT_THREADS), 0);
	assert_int_equal(thread_spawn_unjoined(THREAD_SERVICE, "never", run_once, NULL), wanted);
	assert_int_equal(counters_read_by(COUNT_THREADS_FAILED, cause), before + 2);
	assert_int_equal(counters_read(COUNT_THREADS), 0);
	assert_int_equal(thread_reap(), 0);
	assert_int_equal(atomic_load(&n_ran), 0);
	/* No stack and no struct is lost. */
	thread_fini();
}

enum cause { LIMIT, MEMORY };

static void limit_of_the_machine_is_counted_and_undone(void **state)
{
	(void)state;
	seam_fail(SEAM_PTHREAD_CREATE, 0, 2, EAGAIN);
	assert_fails(-EAGAIN, LIMIT);
}

static void kernel_without_memory_is_counted_and_undone(void **state)
{
	(void)state;
	seam_fail(SEAM_PTHREAD_CREATE, 0, 2, ENOMEM);
	assert_fails(-ENOMEM, MEMORY);
}

static void no_memory_for_the_thread_is_counted_and_undone(void **state)
{
	(void)state;
	seam_fail(SEAM_ALLOC, 0, 2, ENOMEM);
	assert_fails(-ENOMEM, MEMORY);
}

static void no_address_space_for_stacks_is_counted(void **state)
{
	int64_t before = counters_read_by(COUNT_THREADS_FAILED, MEMORY);
	struct thread *t = NULL;

	(void)state;
	seam_fail(SEAM_MMAP, 0, 1, ENOMEM);
	assert_int_equal(thread_spawn(THREAD_CONNECTION, "never", run_once, NULL, &t), -ENOMEM);
	assert_null(t);
	assert_int_equal(counters_read_by(COUNT_THREADS_FAILED, MEMORY), before + 1);
	/* The next has better luck. */
	assert_int_equal(thread_spawn(THREAD_CONNECTION, "second", run_once, NULL, &t), 0);
	thread_join(&t);
	assert_int_equal(atomic_load(&n_ran), 1);
}

static void causes_have_names(void **state)
{
	struct counters_text out = {0};

	(void)state;
	counters_expose(&out);
	assert_non_null(strstr(out.text, "comet_threads_failed_total{cause=\"limit\"} "));
	assert_non_null(strstr(out.text, "comet_threads_failed_total{cause=\"memory\"} "));
	free(out.text);
}

/* ---- faults ---- */

static void *overflow(void *arg)
{
	/* Down to the guard, page by page. */
	for (volatile char *at = arg; at != NULL; at -= 1024)
		*at = 1;
	return NULL;
}

static void *overflow_mine(void *arg)
{
	char local = 0;

	(void)arg;
	return overflow(&local);
}

static void overflow_on_a_thread(void)
{
	struct thread *t;

	if (thread_spawn(THREAD_CONNECTION, "deep", overflow_mine, NULL, &t) == 0)
		thread_join(&t);
}

static void overflow_of_a_stack_ends_the_program_there(void **state)
{
	char words[4096];

	(void)state;
	/* Sanitizers end it themselves. */
	assert_int_not_equal(dying(overflow_on_a_thread, words, sizeof(words)), 0);
}

static void join_something_else(void)
{
	static unsigned not_a_thread[32];
	struct thread *t = (struct thread *)(void *)not_a_thread;

	thread_join(&t);
}

static void what_is_no_thread_stops_the_program(void **state)
{
	char words[1024];

	(void)state;
	assert_int_equal(dying(join_something_else, words, sizeof(words)), SIGABRT);
}

/* ---- which limit ---- */

static void limit_text_names_a_limit_and_what_to_do(void **state)
{
	char text[256], name[64];
	long long used, value;

	(void)state;
	thread_limit_text(text, sizeof(text));
	assert_int_equal(sscanf(text, "%63[^:]: %lld of %lld used; raise it: ", name, &used, &value), 3);
	assert_true(used > 0);
	assert_true(value > 0);
	/* No room is no reason to write beyond. */
	text[10] = '#';
	thread_limit_text(text, 10);
	assert_int_equal(strlen(text), 9);
	assert_int_equal(text[10], '#');
}

static void say_which_with_few_tasks(void)
{
	const struct rlimit one = {1, 1};
	char text[256];

	if (setrlimit(RLIMIT_NPROC, &one) < 0 || (getuid() == 0 && setresuid(65534, 65534, 65534) < 0))
		return;
	thread_limit_text(text, sizeof(text));
	(void)fprintf(stderr, "%s\n", text);
}

static void limit_that_is_reached_is_the_one_named(void **state)
{
	char words[1024];

	(void)state;
	assert_int_equal(dying(say_which_with_few_tasks, words, sizeof(words)), 0);
	assert_memory_equal(words, "RLIMIT_NPROC: ", 14);
	assert_non_null(strstr(words, " of 1 used; raise it: LimitNPROC="));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(thread_has_its_name_and_no_signals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(connection_runs_on_a_small_stack, set_up, tear_down),
		cmocka_unit_test_setup_teardown(joined_thread_leaves_its_stack_to_the_next, set_up, tear_down),
		cmocka_unit_test_setup_teardown(gauge_counts_those_in_their_functions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reap_says_how_many_still_run, set_up, tear_down),
		cmocka_unit_test_setup_teardown(trimmed_stack_keeps_only_what_is_in_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stacks_of_others_are_not_trimmed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(those_that_left_keep_no_stack, set_up, tear_down),
		cmocka_unit_test_setup_teardown(burst_of_ends_joins_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limit_of_the_machine_is_counted_and_undone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(kernel_without_memory_is_counted_and_undone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_memory_for_the_thread_is_counted_and_undone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_address_space_for_stacks_is_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(causes_have_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(overflow_of_a_stack_ends_the_program_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_thread_stops_the_program, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limit_text_names_a_limit_and_what_to_do, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limit_that_is_reached_is_the_one_named, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
