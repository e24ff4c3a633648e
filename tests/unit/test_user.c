/* Tests of common/wire/user. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/user.h"

static struct user user_of(const char *text)
{
	struct user user;

	assert_true(user_read(text, strlen(text), &user));
	return user;
}

static void canonical_decimals_are_numbers(void **state)
{
	static const struct {
		const char *text;
		int64_t mid;
	} numbers[] = {{"7", 7},   {"123", 123},        {"9223372036854775807", INT64_MAX},
		       {"0", 0},   {"-5", -5},          {"-9223372036854775808", INT64_MIN},
		       {"10", 10}, {"1000000", 1000000}};
	char text[USER_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const struct user user = user_of(numbers[i].text);

		assert_null(user.name);
		assert_true(user.mid == numbers[i].mid);
		assert_int_equal(user_is_somebody(&user), numbers[i].mid > 0);
		assert_string_equal(user_text(&user, text), numbers[i].text);
	}
}

static void every_other_string_is_a_name(void **state)
{
	static const char *const names[] = {"007",
					    "+7",
					    " 7",
					    "7 ",
					    "-0",
					    "-007",
					    "00",
					    "7.0",
					    "1e3",
					    "0x7",
					    "nan",
					    "9223372036854775808",
					    "-9223372036854775809",
					    "auth0|5f7c8ec7c33c6c004bbafe82",
					    "user@example.com",
					    "ser://5",
					    "a_b%c d",
					    "J\xc3\xbcrgen \xf0\x9f\x98\x80"};
	char text[USER_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct user user = user_of(names[i]);

		assert_int_equal(user.mid, 0);
		assert_true(user_is_somebody(&user));
		assert_string_equal(user_text(&user, text), names[i]);
	}
}

static void nobody_is_called_by_anything_else(void **state)
{
	static const char *const wrong[] = {"",          "\n",   "a\tb",  "a\x7f",        "a\xc2\x80",
					    "a\xc2\x9f", "\xff", "a\xc3", "\xed\xa0\x80", "\xc0\xaf"};
	char longest[USER_BYTES + 1];
	struct user user;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(user_read(wrong[i], strlen(wrong[i]), &user));
	assert_false(user_read("a\0b", 3, &user));
	memset(longest, 'a', USER_BYTES);
	longest[USER_BYTES] = '\0';
	assert_false(user_read(longest, USER_BYTES, &user));
	longest[USER_BYTES - 1] = '\0';
	assert_true(user_read(longest, USER_BYTES - 1, &user));
}

static void an_escaped_name_is_one_word(void **state)
{
	static const char *const pairs[] = {
		"123",      "123",      "-5",      "-5",      "Ann",           "Ann",          "a_b", "a%5Fb",
		"a%5Fb",    "a%255Fb",  "a b",     "a%20b",   "-007",          "%2D007",       "a-b", "a-b",
		"auth0|5f", "auth0|5f", "ser://5", "ser://5", "J\xc3\xbcrgen", "J\xc3\xbcrgen"};
	char escaped[USER_ESCAPED_BYTES], all[USER_BYTES];
	struct user user;

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i += 2) {
		user = user_of(pairs[i]);
		assert_string_equal(user_escaped(&user, escaped), pairs[i + 1]);
	}
	memset(all, '_', sizeof(all) - 1);
	all[sizeof(all) - 1] = '\0';
	user = user_of(all);
	assert_int_equal(strlen(user_escaped(&user, escaped)), USER_ESCAPED_BYTES - 1);
}

static void users_are_equal_by_their_strings(void **state)
{
	const struct user seven = {.mid = 7}, name = {.name = "007"}, same = {.name = (char[]){"007"}},
			  other = {.name = "7a"}, none = {0};

	(void)state;
	assert_true(user_equal(&seven, &(struct user){.mid = 7}));
	assert_true(user_equal(&name, &same));
	assert_false(user_equal(&seven, &name));
	assert_false(user_equal(&name, &none));
	assert_false(user_equal(&name, &other));
	assert_false(user_equal(&seven, &none));
}

/* ---- <user>_<key> of two pairs are one only where the pairs are ---- */

#define PAIRS 4000

struct pair {
	char user[16], key[16], joined[64];
};

static void some_text(char *out, size_t at_least, unsigned *seed)
{
	static const char letters[] = "__%%-0 15a2FD";
	size_t n = at_least + (size_t)rand_r(seed) % 5;

	for (size_t i = 0; i < n; i++)
		out[i] = letters[(size_t)rand_r(seed) % (sizeof(letters) - 1)];
	out[n] = '\0';
}

static int by_joined(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->joined, ((const struct pair *)b)->joined);
}

static void no_two_pairs_of_user_and_key_meet(void **state)
{
	static struct pair pairs[PAIRS];
	char escaped[USER_ESCAPED_BYTES];
	unsigned seed = 20261130, met = 0;

	(void)state;
	for (size_t i = 0; i < PAIRS; i++) {
		struct user user;

		some_text(pairs[i].user, 1, &seed);
		some_text(pairs[i].key, 0, &seed);
		user = user_of(pairs[i].user);
		(void)snprintf(pairs[i].joined, sizeof(pairs[i].joined), "%s_%s", user_escaped(&user, escaped),
			       pairs[i].key);
		assert_null(strpbrk(escaped, "_ "));
		assert_int_equal(escaped[0] == '-', user.mid < 0);
	}
	qsort(pairs, PAIRS, sizeof(pairs[0]), by_joined);
	for (size_t i = 1; i < PAIRS; i++) {
		if (strcmp(pairs[i - 1].joined, pairs[i].joined) != 0)
			continue;
		met++;
		assert_string_equal(pairs[i - 1].user, pairs[i].user);
		assert_string_equal(pairs[i - 1].key, pairs[i].key);
	}
	assert_true(met < PAIRS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_decimals_are_numbers),
		cmocka_unit_test(every_other_string_is_a_name),
		cmocka_unit_test(nobody_is_called_by_anything_else),
		cmocka_unit_test(an_escaped_name_is_one_word),
		cmocka_unit_test(users_are_equal_by_their_strings),
		cmocka_unit_test(no_two_pairs_of_user_and_key_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
