/* Tests of common/base/crew with a work of its own: its threads only rest. What they do for a park is in test_park.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>

#include "common/base/clock.h"
#include "common/base/crew.h"
#include "tests/unit/until.h"

static struct crew crew;
static atomic_bool may_rest;

static void *rest(void *arg)
{
	(void)arg;
	until(atomic_load(&may_rest));
	lock_take(&crew.lock);
	while (crew_rest_locked(&crew))
		;
	crew_leave_locked(&crew);
	lock_drop(&crew.lock);
	return NULL;
}

/* One of its numbers. */
static unsigned lock_and_read(const unsigned *number)
{
	unsigned n;

	lock_take(&crew.lock);
	n = *number;
	lock_drop(&crew.lock);
	return n;
}

static unsigned threads(void)
{
	return lock_and_read(&crew.threads);
}

/* Six at rest, of which two may be awake. */
static int set_up(void **state)
{
	const struct crew_options opt = {"resting", THREAD_CONNECTION, 6, rest, NULL};

	(void)state;
	atomic_store(&may_rest, false);
	crew_init(&crew, &opt);
	if (crew_start(&crew) < 0)
		return -1;
	lock_take(&crew.lock);
	crew.opt.awake_max = 2;
	lock_drop(&crew.lock);
	atomic_store(&may_rest, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	lock_take(&crew.lock);
	crew_stop_locked(&crew);
	lock_drop(&crew.lock);
	until(thread_reap() == 0);
	thread_fini();
	crew_fini(&crew);
	return 0;
}

static void of_many_that_rest_too_long_as_many_stay_as_may_be_awake(void **state)
{
	int64_t seen_ns;

	(void)state;
	until(threads() <= 2);
	/* They began to rest within a moment, and so end within one. */
	seen_ns = clock_now_ns();
	until(clock_now_ns() - seen_ns > CLOCK_SEC / 2);
	assert_int_equal(threads(), 2);
}

static void who_is_called_is_awake_until_it_rests_again(void **state)
{
	(void)state;
	until(threads() == 2);
	lock_take(&crew.lock);
	assert_int_equal(crew.awake, 0);
	assert_true(crew_call_locked(&crew));
	assert_int_equal(crew.awake, 1);
	lock_drop(&crew.lock);
	until(lock_and_read(&crew.awake) == 0);
	assert_int_equal(threads(), 2);
}

#define crew_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		crew_test(of_many_that_rest_too_long_as_many_stay_as_may_be_awake),
		crew_test(who_is_called_is_awake_until_it_rests_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
