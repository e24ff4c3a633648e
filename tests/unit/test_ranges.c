/* Tests of common/base/ranges. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/ranges.h"

static void numbers_and_ranges_are_had_and_no_others(void **state)
{
	struct ranges r;

	(void)state;
	assert_int_equal(ranges_parse(" 4, 1000-1999 ,-5--3,2147483647", &r), 0);
	assert_int_equal(r.n, 4);
	for (int32_t i = -10; i < 3000; i++)
		assert_int_equal(ranges_have(&r, i), i == 4 || (i >= 1000 && i <= 1999) || (i >= -5 && i <= -3));
	assert_true(ranges_have(&r, INT32_MAX));
	assert_false(ranges_have(&r, INT32_MIN));
}

static void nothing_is_the_empty_set(void **state)
{
	struct ranges r;

	(void)state;
	assert_int_equal(ranges_parse("", &r), 0);
	assert_int_equal(ranges_parse("  ", &r), 0);
	assert_false(ranges_have(&r, 0));
}

static void what_is_not_so_written_is_said(void **state)
{
	static const char *const texts[] = {",",   "1,",  ",1",  "1,,2", "x",     "1x",         "1-",          "-",
					    "2-1", "--1", "1 2", "+1",   "1 - 2", "2147483648", "-2147483649", "0x10"};
	struct ranges r;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(ranges_parse(texts[i], &r), -EINVAL);
}

static void more_than_there_is_space_for_are_refused(void **state)
{
	char text[4 * RANGES_MAX + 8] = "";
	struct ranges r;

	(void)state;
	for (unsigned i = 0; i < RANGES_MAX; i++)
		memcpy(text + strlen(text), i > 0 ? ",7" : "7", i > 0 ? 3 : 2);
	assert_int_equal(ranges_parse(text, &r), 0);
	memcpy(text + strlen(text), ",8", 3);
	assert_int_equal(ranges_parse(text, &r), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_and_ranges_are_had_and_no_others),
		cmocka_unit_test(nothing_is_the_empty_set),
		cmocka_unit_test(what_is_not_so_written_is_said),
		cmocka_unit_test(more_than_there_is_space_for_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
