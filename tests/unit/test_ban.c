/* Tests of common/wire/ban. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/wire/ban.h"

static void a_ban_survives_its_texts(void **state)
{
	const struct ban bans[] = {
		{BAN_USER, "123", 7, 1000, 2000, 0, false},
		{BAN_KEY, "a key: with \"all\"", 999999999999999999, 1, 1, 0, true},
		{BAN_NETWORK, "2001:db8::/32", 1, 2, 3, 0, false},
		{BAN_TOKENS, "J\xc3\xbcrgen", 1, 2, 3, 1795490252, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bans) / sizeof(bans[0]); i++) {
		char field[BAN_FIELD_BYTES], value[BAN_VALUE_BYTES];
		struct ban read;

		ban_field(&bans[i], field);
		ban_value(&bans[i], value);
		assert_int_equal(ban_read(field, value, &read), 0);
		assert_string_equal(read.name, bans[i].name);
		assert_int_equal(read.kind, bans[i].kind);
		assert_true(read.stamp == bans[i].stamp);
		assert_true(read.until_ms == bans[i].until_ms && read.keep_ms == bans[i].keep_ms);
		assert_true(read.before_s == bans[i].before_s && read.lifted == bans[i].lifted);
	}
}

static void what_is_no_ban_is_not_read(void **state)
{
	static const char *const bad[][2] = {
		{"", "1 2 3 0 0"},
		{"u", "1 2 3 0 0"},
		{"u:", "1 2 3 0 0"},
		{"x:1", "1 2 3 0 0"},
		{"u:1\n", "1 2 3 0 0"},
		{"n:10.0.0.1/8", "1 2 3 0 0"},
		{"n:10.0.0.1", "1 2 3 0 0"},
		{"u:1", ""},
		{"u:1", "1 2 3 0"},
		{"u:1", "1 2 3 2 0"},
		{"u:1", "1 -2 3 0 0"},
		{"u:1", "1 2 3 0 0 "},
		{"u:1", "1000000000000000000 2 3 0 0"},
	};
	struct ban ban;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ban_read(bad[i][0], bad[i][1], &ban), -EBADMSG);
}

static void a_name_longer_than_a_key_is_none(void **state)
{
	char name[WIRE_KEY_BYTES + 1];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[WIRE_KEY_BYTES] = '\0';
	assert_false(ban_name_is_good(BAN_KEY, name));
	name[WIRE_KEY_BYTES - 1] = '\0';
	assert_true(ban_name_is_good(BAN_KEY, name));
}

static void a_time_is_written_for_people(void **state)
{
	char text[BAN_TIME_BYTES];

	(void)state;
	ban_time(1795490252123, text);
	assert_string_equal(text, "2026-11-24T03:17:32Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ban_survives_its_texts),
		cmocka_unit_test(what_is_no_ban_is_not_read),
		cmocka_unit_test(a_name_longer_than_a_key_is_none),
		cmocka_unit_test(a_time_is_written_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
