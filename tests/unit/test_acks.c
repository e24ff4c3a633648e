/* Tests of common/wire/acks. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "common/wire/acks.h"
#include "tests/unit/seam.h"

static void each_device_has_the_highest_position_that_it_confirmed(void **state)
{
	struct acks a = {0};

	(void)state;
	assert_int_equal(acks_get(&a, "phone"), 0);
	assert_int_equal(acks_get(&a, NULL), 0);
	assert_int_equal(acks_set(&a, "phone", 7), 0);
	assert_int_equal(acks_set(&a, "pad", 9), 0);
	assert_int_equal(acks_set(&a, "phone", 5), 0);
	assert_int_equal(a.n, 2);
	assert_int_equal(acks_get(&a, "phone"), 7);
	assert_int_equal(acks_get(&a, "pad"), 9);
	assert_int_equal(acks_get(&a, "tv"), 0);
	assert_int_equal(acks_get(&a, NULL), 9);
	acks_fini(&a);
}

static void one_too_many_takes_the_place_of_the_lowest_or_has_none(void **state)
{
	struct acks a = {0};
	char key[8];

	(void)state;
	for (unsigned i = 0; i < ACKS_MAX; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		assert_int_equal(acks_set(&a, key, 100 + i), 0);
	}
	assert_int_equal(acks_set(&a, "late", 99), 0);
	assert_int_equal(acks_get(&a, "late"), 0);
	assert_int_equal(acks_get(&a, "k0"), 100);
	assert_int_equal(acks_set(&a, "new", 101), 0);
	assert_int_equal(acks_get(&a, "new"), 101);
	assert_int_equal(acks_get(&a, "k0"), 0);
	assert_int_equal(a.n, ACKS_MAX);
	acks_fini(&a);
}

static void without_memory_nothing_changes(void **state)
{
	struct acks a = {0}, copy;
	int rc = -ENOMEM;

	(void)state;
	for (unsigned nth = 0; rc == -ENOMEM; nth++) {
		seam_fail(SEAM_ALLOC, nth, 1, ENOMEM);
		rc = acks_set(&a, "phone", 7);
		seam_reset();
		assert_int_equal(acks_get(&a, "phone"), rc == 0 ? 7 : 0);
	}
	rc = -ENOMEM;
	for (unsigned nth = 0; rc == -ENOMEM; nth++) {
		seam_fail(SEAM_ALLOC, nth, 1, ENOMEM);
		rc = acks_copy(&a, &copy);
		seam_reset();
		assert_int_equal(acks_get(&copy, "phone"), rc == 0 ? 7 : 0);
	}
	acks_fini(&copy);
	acks_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_device_has_the_highest_position_that_it_confirmed),
		cmocka_unit_test(one_too_many_takes_the_place_of_the_lowest_or_has_none),
		cmocka_unit_test(without_memory_nothing_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
