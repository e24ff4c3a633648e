/* Tests of cluster/load: the order in which comets are told. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/load.h"

static void is_before(struct load a, struct load b)
{
	assert_true(load_compare(&a, &b) < 0);
	assert_true(load_compare(&b, &a) > 0);
	assert_int_equal(load_compare(&a, &a), 0);
}

static void who_leaves_is_the_last(void **state)
{
	(void)state;
	is_before((struct load){.connections = 9, .name = "b"},
		  (struct load){.leaving = true, .near = true, .name = "a"});
}

static void who_is_near_comes_first(void **state)
{
	(void)state;
	is_before((struct load){.near = true, .connections = 9, .name = "b"}, (struct load){.name = "a"});
}

static void who_has_less_for_its_weight_comes_first(void **state)
{
	(void)state;
	is_before((struct load){.connections = 9, .weight = 10, .name = "b"},
		  (struct load){.connections = 1, .weight = 1, .name = "a"});
	/* Nothing, and less than that, is one. */
	is_before((struct load){.connections = 1, .weight = 0, .name = "b"},
		  (struct load){.connections = 2, .weight = -5, .name = "a"});
}

static void equals_go_by_name(void **state)
{
	(void)state;
	is_before((struct load){.connections = 2, .weight = 1, .name = "a"},
		  (struct load){.connections = 4, .weight = 2, .name = "b"});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_leaves_is_the_last),
		cmocka_unit_test(who_is_near_comes_first),
		cmocka_unit_test(who_has_less_for_its_weight_comes_first),
		cmocka_unit_test(equals_go_by_name),
	};

	return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
