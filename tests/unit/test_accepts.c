/* Tests of comet/accepts. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "comet/accepts.h"
#include "tests/unit/seam.h"

static struct accepts a;

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	accepts_fini(&a);
	return 0;
}

static void nothing_is_accepted_at_first(void **state)
{
	(void)state;
	assert_false(accepts_has(&a, 0));
	assert_false(accepts_has(&a, 1000));
}

static void what_was_added_is_accepted_a_double_counts_once(void **state)
{
	static const int32_t ops[] = {1002, 1000, 1001, 1000};

	(void)state;
	assert_int_equal(accepts_add(&a, ops, 4, 3), 0);
	assert_int_equal(a.n, 3);
	for (int32_t op = 1000; op <= 1002; op++)
		assert_true(accepts_has(&a, op));
	assert_false(accepts_has(&a, 999));
	assert_false(accepts_has(&a, 1003));
	/* And again, when there is no space left. */
	assert_int_equal(accepts_add(&a, ops, 4, 3), 0);
	assert_int_equal(a.n, 3);
}

static void what_was_removed_is_accepted_no_longer(void **state)
{
	static const int32_t ops[] = {INT32_MIN, -1, 0, INT32_MAX};
	static const int32_t gone[] = {-1, 7, INT32_MAX};

	(void)state;
	assert_int_equal(accepts_add(&a, ops, 4, 8), 0);
	accepts_remove(&a, gone, 3);
	assert_true(accepts_has(&a, INT32_MIN));
	assert_true(accepts_has(&a, 0));
	assert_false(accepts_has(&a, -1));
	assert_false(accepts_has(&a, INT32_MAX));
	accepts_remove(&a, ops, 4);
	accepts_remove(&a, ops, 4);
	assert_false(accepts_has(&a, 0));
	assert_int_equal(accepts_add(&a, ops, 1, 8), 0);
	assert_true(accepts_has(&a, INT32_MIN));
}

static void a_list_that_would_grow_too_long_stays_as_it_was(void **state)
{
	static const int32_t ops[] = {1, 2, 3, 4};

	(void)state;
	assert_int_equal(accepts_add(&a, ops, 2, 3), 0);
	assert_int_equal(accepts_add(&a, ops + 2, 2, 3), -ENOBUFS);
	assert_true(accepts_has(&a, 2));
	assert_false(accepts_has(&a, 3));
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(accepts_add(&a, ops + 2, 1, 3), -ENOMEM);
	assert_true(accepts_has(&a, 2));
	assert_false(accepts_has(&a, 3));
	assert_int_equal(accepts_add(&a, ops + 2, 1, 3), 0);
	assert_true(accepts_has(&a, 3));
	assert_int_equal(accepts_add(&a, NULL, 0, 3), 0);
}

static void all_means_every_operation(void **state)
{
	(void)state;
	a.all = true;
	assert_true(accepts_has(&a, INT32_MIN));
	assert_true(accepts_has(&a, 4711));
}

#define accepts_test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		accepts_test(nothing_is_accepted_at_first),
		accepts_test(what_was_added_is_accepted_a_double_counts_once),
		accepts_test(what_was_removed_is_accepted_no_longer),
		accepts_test(a_list_that_would_grow_too_long_stays_as_it_was),
		accepts_test(all_means_every_operation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
