/* Tests of common/base/rate: what a rate lets through at once and over time, and that names do not take from each other.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/rate.h"
#include "tests/unit/seam.h"

static const struct rate TEN = {.per_second = 10, .burst_ns = CLOCK_SEC};

static int64_t take_all(const struct rate *rate, int64_t *full, int64_t now)
{
	int64_t n = 0;

	while (n < 1000 && rate_take(rate, full, now, 1) == 0)
		n++;
	return n;
}

static void a_burst_goes_at_once_and_then_as_many_as_gathered(void **state)
{
	int64_t full = 0, now = 5 * CLOCK_SEC;

	(void)state;
	assert_int_equal(take_all(&TEN, &full, now), 10);
	assert_int_equal(rate_take(&TEN, &full, now, 1), CLOCK_SEC / 10);
	assert_int_equal(take_all(&TEN, &full, now + CLOCK_SEC / 10 - 1), 0);
	assert_int_equal(take_all(&TEN, &full, now + CLOCK_SEC / 10), 1);
	assert_int_equal(take_all(&TEN, &full, now + CLOCK_SEC), 9);
	assert_int_equal(take_all(&TEN, &full, now + 100 * CLOCK_SEC), 10); /* more than a burst does not gather */
}

static void a_second_holds_as_many_as_the_rate_says(void **state)
{
	(void)state;
	for (int64_t n = 1; n < 1000; n++) {
		const struct rate rate = {.per_second = n, .burst_ns = CLOCK_SEC};
		int64_t full = 0;

		assert_int_equal(take_all(&rate, &full, CLOCK_SEC), n);
	}
}

static void without_a_burst_it_is_one_at_a_time(void **state)
{
	const struct rate rate = {.per_second = 2};
	int64_t full = 0;

	(void)state;
	assert_int_equal(take_all(&rate, &full, CLOCK_SEC), 1);
	assert_int_equal(take_all(&rate, &full, CLOCK_SEC + CLOCK_SEC / 2 - 1), 0);
	assert_int_equal(take_all(&rate, &full, CLOCK_SEC + CLOCK_SEC / 2), 1);
}

static void a_rate_of_0_is_none(void **state)
{
	const struct rate none = {0};
	int64_t full = 0;

	(void)state;
	assert_int_equal(take_all(&none, &full, 1), 1000);
	assert_int_equal(rate_pace(&none, &full, 1, INT32_MAX), 0);
	assert_int_equal(full, 0);
}

static void pacing_takes_what_has_happened_and_says_how_long_to_wait(void **state)
{
	int64_t full = 0, now = CLOCK_SEC;

	(void)state;
	assert_int_equal(rate_pace(&TEN, &full, now, 10), 0);
	assert_int_equal(rate_pace(&TEN, &full, now, 1), CLOCK_SEC / 10);
	assert_int_equal(rate_pace(&TEN, &full, now, 20), CLOCK_SEC / 10 * 21);
	assert_int_equal(rate_pace(&TEN, &full, now + 2 * CLOCK_SEC, 1), CLOCK_SEC / 10 * 2);
}

static void large_numbers_do_not_overflow(void **state)
{
	const struct rate slow = {.per_second = 1, .burst_ns = CLOCK_SEC};
	int64_t full = 0;

	(void)state;
	assert_int_equal(rate_pace(&slow, &full, CLOCK_SEC, 1 << 20), ((1 << 20) - 1) * CLOCK_SEC);
}

static void each_name_has_a_bucket_of_its_own(void **state)
{
	struct rate_table t;
	char name[32];

	(void)state;
	assert_int_equal(rate_table_init(&t), 0);
	for (int i = 0; i < 12; i++)
		assert_int_equal(rate_table_take(&t, &TEN, "greedy", CLOCK_SEC, 1) == 0, i < 10);
	/* Sharing both buckets with it has odds of one in 2^30. */
	for (int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "10.0.0.%d", i);
		assert_int_equal(rate_table_take(&t, &TEN, name, CLOCK_SEC, 1), 0);
	}
	assert_int_equal(rate_table_take(&t, &TEN, "greedy", CLOCK_SEC + CLOCK_SEC / 10, 1), 0);
	rate_table_fini(&t);
}

static void a_table_needs_memory(void **state)
{
	struct rate_table t;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(rate_table_init(&t), -ENOMEM);
	rate_table_fini(&t);
	seam_reset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_goes_at_once_and_then_as_many_as_gathered),
		cmocka_unit_test(a_second_holds_as_many_as_the_rate_says),
		cmocka_unit_test(without_a_burst_it_is_one_at_a_time),
		cmocka_unit_test(a_rate_of_0_is_none),
		cmocka_unit_test(pacing_takes_what_has_happened_and_says_how_long_to_wait),
		cmocka_unit_test(large_numbers_do_not_overflow),
		cmocka_unit_test(each_name_has_a_bucket_of_its_own),
		cmocka_unit_test(a_table_needs_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
