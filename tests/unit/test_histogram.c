/* The histogram of comet-cli bench. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/histogram.h"

static struct histogram h;

static int empty(void **state)
{
	(void)state;
	h = (struct histogram){0};
	return 0;
}

static void nothing_added_is_zero_everywhere(void **state)
{
	(void)state;
	assert_int_equal(histogram_percentile(&h, 50), 0);
	assert_int_equal(histogram_percentile(&h, 100), 0);
}

static void one_duration_is_every_percentile(void **state)
{
	(void)state;
	histogram_add(&h, 123456789);
	assert_int_equal(histogram_percentile(&h, 0), 123456789);
	assert_int_equal(histogram_percentile(&h, 50), 123456789);
	assert_int_equal(histogram_percentile(&h, 100), 123456789);
}

/* For every magnitude, and just below, at and above each power of two. */
static void a_percentile_is_never_low_and_at_most_1_6_percent_high(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < HISTOGRAM_MAX_BITS; bits++) {
		for (int off = -1; off <= 1; off++) {
			int64_t ns = (INT64_C(1) << bits) + off, got;

			h = (struct histogram){0};
			histogram_add(&h, ns);
			histogram_add(&h, INT64_C(1) << (HISTOGRAM_MAX_BITS - 1)); /* so that max_ns does not help */
			got = histogram_percentile(&h, 50);
			assert_true(got >= ns);
			assert_true(got - ns <= ns / 64);
		}
	}
}

static void percentiles_of_a_thousand(void **state)
{
	(void)state;
	for (int64_t i = 1; i <= 1000; i++)
		histogram_add(&h, i * 1000);
	assert_in_range(histogram_percentile(&h, 50), 500000, 508000);
	assert_in_range(histogram_percentile(&h, 99), 990000, 1000000);
	assert_in_range(histogram_percentile(&h, 99.9), 999000, 1000000);
	assert_int_equal(histogram_percentile(&h, 100), 1000000);
	assert_int_equal(h.sum_ns, INT64_C(500500) * 1000);
}

static void what_is_out_of_range_is_counted_at_its_end(void **state)
{
	(void)state;
	histogram_add(&h, -5);
	assert_int_equal(histogram_percentile(&h, 100), 0);
	histogram_add(&h, INT64_MAX / 2);
	assert_int_equal(h.count, 2);
	assert_true(histogram_percentile(&h, 100) == INT64_MAX / 2);
}

static void merging_is_adding_all(void **state)
{
	static struct histogram a, b;

	(void)state;
	for (int64_t i = 0; i < 1000; i++) {
		histogram_add(i % 3 == 0 ? &a : &b, i * i * 777);
		histogram_add(&h, i * i * 777);
	}
	histogram_merge(&a, &b);
	assert_memory_equal(&a, &h, sizeof(h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_added_is_zero_everywhere, empty),
		cmocka_unit_test_setup(one_duration_is_every_percentile, empty),
		cmocka_unit_test_setup(a_percentile_is_never_low_and_at_most_1_6_percent_high, empty),
		cmocka_unit_test_setup(percentiles_of_a_thousand, empty),
		cmocka_unit_test_setup(what_is_out_of_range_is_counted_at_its_end, empty),
		cmocka_unit_test_setup(merging_is_adding_all, empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
