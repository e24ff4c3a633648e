/* Tests of logic_client/redis_instances. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "logic_client/redis_instances.h"

static struct redis_instances instances;

/* "a" and so on, with leases that end then. */
static void set(const char *names, int64_t until_ms)
{
	struct redis_instance list[8] = {0};
	size_t n = strlen(names);

	for (size_t i = 0; i < n; i++) {
		list[i].name[0] = names[i];
		list[i].until_ms = until_ms;
	}
	redis_instances_set(&instances, list, n);
}

static int set_up(void **state)
{
	(void)state;
	memset(&instances, 0, sizeof(instances));
	set("abc", 1000);
	return 0;
}

static void pick_is(const char *but, char wanted)
{
	char name[REDIS_INSTANCE_BYTES];

	assert_true(redis_instances_pick(&instances, but, name));
	assert_int_equal(name[0], wanted);
	assert_int_equal(name[1], '\0');
}

static void requests_are_spread_over_all(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++)
		for (int name = 'a'; name <= 'c'; name++)
			pick_is(NULL, (char)name);
}

static void the_second_try_goes_elsewhere(void **state)
{
	(void)state;
	pick_is("a", 'b');
	pick_is("c", 'a');
	set("a", 1000);
	pick_is("a", 'a'); /* there is no other */
}

static void one_that_is_gone_is_not_asked_until_the_list_names_it(void **state)
{
	(void)state;
	redis_instances_gone(&instances, "b");
	redis_instances_gone(&instances, "nobody");
	for (int i = 0; i < 4; i++)
		pick_is(NULL, i % 2 == 0 ? 'a' : 'c');
	set("b", 1000);
	pick_is(NULL, 'b');
}

static void a_silent_one_is_asked_again_when_it_has_renewed_its_lease(void **state)
{
	(void)state;
	redis_instances_silent(&instances, "a");
	pick_is(NULL, 'b');
	pick_is(NULL, 'c');
	pick_is(NULL, 'b');
	set("abc", 1000); /* the same lease as before */
	for (int i = 0; i < 4; i++)
		pick_is(NULL, i % 2 == 0 ? 'c' : 'b');
	set("abc", 2000);
	pick_is("b", 'c');
	pick_is(NULL, 'a');
}

static void silent_ones_are_better_than_none(void **state)
{
	(void)state;
	for (char name[2] = "a"; name[0] <= 'c'; name[0]++)
		redis_instances_silent(&instances, name);
	pick_is(NULL, 'a');
	pick_is("b", 'c');
}

static void of_no_instances_none_is_picked(void **state)
{
	char name[REDIS_INSTANCE_BYTES];

	(void)state;
	set("", 0);
	assert_false(redis_instances_pick(&instances, NULL, name));
	set("z", 1);
	redis_instances_gone(&instances, "z");
	assert_false(redis_instances_pick(&instances, "z", name));
}

#define instances_test(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		instances_test(requests_are_spread_over_all),
		instances_test(the_second_try_goes_elsewhere),
		instances_test(one_that_is_gone_is_not_asked_until_the_list_names_it),
		instances_test(a_silent_one_is_asked_again_when_it_has_renewed_its_lease),
		instances_test(silent_ones_are_better_than_none),
		instances_test(of_no_instances_none_is_picked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
