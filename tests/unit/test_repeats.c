/* Tests of logic/repeats. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "logic/repeats.h"
#include "tests/unit/seam.h"

static struct repeats *r;
static uint64_t number;

static int set_up(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_SEC, 1);
	number = 0;
	return repeats_new(&r);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	repeats_free(&r);
	return 0;
}

static void accepted_push_is_known_by_its_name(void **state)
{
	int64_t before = counters_read(COUNT_PUSHES_REPEATED);

	(void)state;
	assert_int_equal(repeats_begin(r, "chat://1", "a", &number), 0);
	repeats_end(r, "chat://1", "a", &(uint64_t){77});
	assert_int_equal(repeats_begin(r, "chat://1", "a", &number), -EALREADY);
	assert_int_equal(number, 77);
	assert_int_equal(counters_read(COUNT_PUSHES_REPEATED), before + 1);
	assert_int_equal(repeats_begin(r, "chat://1", "b", &number), 0); /* another name */
	assert_int_equal(repeats_begin(r, "chat://2", "a", &number), 0); /* another room */
}

static void push_that_failed_may_come_again(void **state)
{
	(void)state;
	assert_int_equal(repeats_begin(r, "chat://1", "a", &number), 0);
	assert_int_equal(repeats_begin(r, "chat://1", "a", &number), -EBUSY);
	repeats_end(r, "chat://1", "a", NULL);
	assert_int_equal(repeats_begin(r, "chat://1", "a", &number), 0);
}

static void names_are_forgotten_after_five_minutes(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(repeats_begin(r, "chat://1", name, &number), 0);
		repeats_end(r, "chat://1", name, &(uint64_t){5});
		seam_clock_advance(100 * CLOCK_SEC);
	}
	assert_int_equal(repeats_begin(r, "chat://1", "0", &number), -EALREADY);
	seam_clock_advance(CLOCK_SEC);
	assert_int_equal(repeats_begin(r, "chat://1", "0", &number), 0);
	assert_int_equal(repeats_begin(r, "chat://1", "1", &number), -EALREADY);
}

static void only_so_many_are_remembered(void **state)
{
	char name[16];

	(void)state;
	for (int i = 0; i < 100010; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(repeats_begin(r, "chat://1", name, &number), 0);
		repeats_end(r, "chat://1", name, &(uint64_t){(uint64_t)i});
	}
	assert_int_equal(repeats_begin(r, "chat://1", "0", &number), 0);
	assert_int_equal(repeats_begin(r, "chat://1", "50", &number), -EALREADY);
}

static void without_memory_the_caller_is_told(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		seam_fail(SEAM_ALLOC, i, 1, ENOMEM);
		assert_int_equal(repeats_begin(r, "chat://1", "a", &number), -ENOMEM);
	}
	seam_reset();
	assert_int_equal(repeats_begin(r, "chat://1", "a", &number), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(accepted_push_is_known_by_its_name),     TEST(push_that_failed_may_come_again),
		TEST(names_are_forgotten_after_five_minutes), TEST(only_so_many_are_remembered),
		TEST(without_memory_the_caller_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
