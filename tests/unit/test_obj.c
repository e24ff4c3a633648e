/* Tests of common/base/obj. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "common/base/obj.h"
#include "tests/unit/dying.h"

#define THING_MAGIC 0x7468696e

struct part {
	int value;
};

struct thing {
	unsigned magic;
	int value;
	struct part part;
};

static char words[1024];

static void what_holds_goes_on(void **state)
{
	struct thing thing = {.magic = THING_MAGIC};
	int evaluated = 0;

	(void)state;
	BUG_UNLESS(++evaluated == 1);
	OBJ_CHECK(&thing, THING_MAGIC);
	assert_int_equal(evaluated, 1);
}

static void say_that_two_is_three(void)
{
	BUG_UNLESS(1 + 1 == 3);
}

static void what_does_not_hold_stops_the_program_and_says_where(void **state)
{
	(void)state;
	assert_int_equal(dying(say_that_two_is_three, words, sizeof(words)), SIGABRT);
	assert_non_null(
		strstr(words, "BUG: 1 + 1 == 3 does not hold in say_that_two_is_three (tests/unit/test_obj.c:"));
}

static void check_nothing(void)
{
	struct thing *volatile nothing = NULL;

	OBJ_CHECK(nothing, THING_MAGIC);
}

static void check_what_was_finished(void)
{
	struct thing finished = {.magic = 0};

	OBJ_CHECK(&finished, THING_MAGIC);
}

static void wrong_magic_and_null_stop_the_program(void **state)
{
	(void)state;
	assert_int_equal(dying(check_nothing, words, sizeof(words)), SIGABRT);
	assert_non_null(strstr(words, "check_nothing"));
	assert_int_equal(dying(check_what_was_finished, words, sizeof(words)), SIGABRT);
	assert_non_null(strstr(words, "check_what_was_finished"));
}

static void struct_is_found_by_its_member(void **state)
{
	struct thing thing = {.value = 42};

	(void)state;
	assert_ptr_equal(OBJ_OF(&thing.part, struct thing, part), &thing);
	assert_int_equal(OBJ_OF(&thing.part, struct thing, part)->value, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_holds_goes_on),
		cmocka_unit_test(what_does_not_hold_stops_the_program_and_says_where),
		cmocka_unit_test(wrong_magic_and_null_stop_the_program),
		cmocka_unit_test(struct_is_found_by_its_member),
	};

	return cmocka_run_group_tests_name("obj", tests, NULL, NULL);
}
