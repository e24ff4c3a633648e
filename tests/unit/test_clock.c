/* Tests of common/base/clock, and of the seam that stops it. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "common/base/clock.h"
#include "tests/unit/seam.h"

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

static void monotonic_time_never_goes_back_and_is_never_0(void **state)
{
	int64_t before = clock_now_ns();

	(void)state;
	assert_true(before > 0);
	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_now_ns();

		assert_true(now >= before);
		before = now;
	}
}

static void monotonic_time_is_that_of_conditions_in_ns(void **state)
{
	struct timespec ts;
	int64_t before = clock_now_ns();
	int64_t kernel;

	(void)state;
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	kernel = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
	assert_true(before <= kernel);
	assert_true(kernel <= clock_now_ns());
}

static void wall_time_is_that_of_the_world_in_ms(void **state)
{
	int64_t before_s = time(NULL);
	int64_t now_ms = clock_wall_ms();
	int64_t after_s = time(NULL);

	(void)state;
	/* time(2) is up to a tick behind. */
	assert_true(now_ms >= before_s * 1000);
	assert_true(now_ms <= (after_s + 2) * 1000);
}

static void wall_time_is_written_in_utc_to_the_millisecond(void **state)
{
	char text[CLOCK_TEXT_BYTES];

	(void)state;
	clock_text(INT64_C(1767954622048), text);
	assert_string_equal(text, "2026-01-09T10:30:22.048Z");
	clock_text(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

static void stopped_clock_moves_when_told(void **state)
{
	(void)state;
	seam_clock_set(5 * CLOCK_SEC, 1000);
	assert_int_equal(clock_now_ns(), 5 * CLOCK_SEC);
	assert_int_equal(clock_wall_ms(), 1000);
	/* Less than a millisecond is not lost to the wall clock. */
	for (int i = 0; i < 4; i++)
		seam_clock_advance(CLOCK_MS / 2);
	assert_int_equal(clock_now_ns(), 5 * CLOCK_SEC + 2 * CLOCK_MS);
	assert_int_equal(clock_wall_ms(), 1002);
}

static void running_clock_stops_when_moved(void **state)
{
	int64_t before = clock_now_ns();
	int64_t then;

	(void)state;
	seam_clock_advance(CLOCK_SEC * 100);
	then = clock_now_ns();
	assert_true(then >= before + CLOCK_SEC * 100);
	assert_int_equal(clock_now_ns(), then);
	seam_reset();
	assert_true(clock_now_ns() < then);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(monotonic_time_never_goes_back_and_is_never_0),
		cmocka_unit_test(monotonic_time_is_that_of_conditions_in_ns),
		cmocka_unit_test(wall_time_is_that_of_the_world_in_ms),
		cmocka_unit_test(wall_time_is_written_in_utc_to_the_millisecond),
		cmocka_unit_test_teardown(stopped_clock_moves_when_told, tear_down),
		cmocka_unit_test_teardown(running_clock_stops_when_moved, tear_down),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
