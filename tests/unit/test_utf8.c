/* Tests of common/base/utf8. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/base/utf8.h"

static void utf8_is_checked_to_the_letter(void **state)
{
	static const char *const good[] = {"",
					   "a",
					   "\xc3\xa9",
					   "\xe2\x82\xac",
					   "\xf0\x9f\x98\x80",
					   "\xef\xbf\xbf",
					   "\xf4\x8f\xbf\xbf",
					   "\xed\x9f\xbf"};
	static const char *const bad[] = {"\x80",
					  "\xc3",
					  "\xc0\x80",
					  "\xc1\xbf",
					  "\xe0\x80\x80",
					  "\xed\xa0\x80",
					  "\xf0\x80\x80\x80",
					  "\xf4\x90\x80\x80",
					  "\xf5\x80\x80\x80",
					  "\xe2\x82",
					  "a\xff",
					  "\xe2\x28\xa1"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(utf8_is_valid((const uint8_t *)good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(utf8_is_valid((const uint8_t *)bad[i], strlen(bad[i])));
}

static void what_could_have_begun_a_character_goes_as_one(void **state)
{
	static const struct {
		const char *text;
		unsigned bad;
	} broken[] = {
		{"\x80", 1},     {"\xc3(", 1},        {"\xe2\x82", 2},         {"\xe2\x82(", 2}, {"\xf0\x9f\x98", 3},
		{"\xe0\x80", 1}, {"\xed\xa0\x80", 1}, {"\xf4\x90\x80\x80", 1}, {"\xff\xff", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		const uint8_t *text = (const uint8_t *)broken[i].text;
		unsigned bad = 0;

		assert_int_equal(utf8_bytes(text, text + strlen(broken[i].text), &bad), 0);
		assert_int_equal(bad, broken[i].bad);
	}
}

static void code_points_are_read(void **state)
{
	static const struct {
		const char *text;
		uint32_t code;
	} good[] = {{"a", 'a'},
		    {"\xc3\xa9", 0xe9},
		    {"\xe2\x82\xac", 0x20ac},
		    {"\xf0\x9f\x98\x80", 0x1f600},
		    {"\xf4\x8f\xbf\xbf", 0x10ffff}};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const uint8_t *text = (const uint8_t *)good[i].text;
		unsigned bad, n = utf8_bytes(text, text + strlen(good[i].text), &bad);

		assert_int_equal(n, strlen(good[i].text));
		assert_int_equal(utf8_code(text, n), good[i].code);
	}
}

static void a_copy_has_whole_characters_only(void **state)
{
	static const struct {
		const char *text;
		size_t room;
		const char *copy;
	} copies[] = {
		{"", 1, ""},
		{"abc", 4, "abc"},
		{"abc", 3, "ab"},
		{"abc", 1, ""},
		{"a\xc3\xa9", 4, "a\xc3\xa9"},
		{"a\xc3\xa9", 3, "a"},
		{"\xf0\x9f\x98\x80", 4, ""},
		{"a\xe2\x82\xac!", 5, "a\xe2\x82\xac"},
		{"a\xe2\x82\xac!", 4, "a"},
	};
	char to[16];

	(void)state;
	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
		memset(to, 'x', sizeof(to));
		utf8_copy(to, copies[i].room, copies[i].text);
		assert_string_equal(to, copies[i].copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8_is_checked_to_the_letter),
		cmocka_unit_test(what_could_have_begun_a_character_goes_as_one),
		cmocka_unit_test(code_points_are_read),
		cmocka_unit_test(a_copy_has_whole_characters_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
