/* What comes in on the command line, what goes out as a query, and how long to wait. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/arguments.h"
#include "cli/query.h"
#include "client/backoff.h"

static void everything_but_plain_characters_is_escaped(void **state)
{
	struct query q;
	char *text;

	(void)state;
	query_begin(&q, "/p");
	query_add(&q, "a", "az-AZ_09.~");
	query_add(&q, "b", "a b&c=d,e/f?#%+\xc3\xa9\n");
	query_add(&q, "c", "");
	query_add_number(&q, "d", -12);
	query_add_bytes(&q, "e", "live://1", 4);
	text = query_end(&q);
	assert_string_equal(text, "/p?a=az-AZ_09.~&b=a%20b%26c%3Dd%2Ce%2Ff%3F%23%25%2B%C3%A9%0A&c=&d=-12&e=live");
	free(text);
}

static void a_list_is_a_parameter_for_each_item(void **state)
{
	struct query q;
	char *text;

	(void)state;
	query_begin(&q, "/p");
	assert_int_equal(query_add_list(&q, "k", ",a,,b c,", false), 2);
	assert_int_equal(query_add_list(&q, "k", ",,", false), 0);
	assert_int_equal(query_add_list(&q, "k", "", false), 0);
	assert_int_equal(query_add_list(&q, "k", "", true), 0);
	assert_int_equal(query_add_list(&q, "k", ",a,,b", true), 1);
	text = query_end(&q);
	assert_string_equal(text, "/p?k=a&k=b%20c&k=%2Ca%2C%2Cb");
	free(text);
}

static void a_number_is_nothing_but_digits_within_its_range(void **state)
{
	static const char *const wrong[] = {
		"", " 1", "1 ", "+1", "0x1", "1x", "-", "--1", "11", "-3", "99999999999999999999"};
	int64_t n = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(argument_i64("--n", wrong[i], -2, 10, &n));
	assert_int_equal(n, 77);
	assert_true(argument_i64("--n", "10", -2, 10, &n));
	assert_int_equal(n, 10);
	assert_true(argument_i64("--n", "-2", -2, 10, &n));
	assert_int_equal(n, -2);
}

static void a_time_has_a_unit_or_is_in_seconds(void **state)
{
	static const char *const wrong[] = {"",    "0",  "-1",  "1d",    "s",     "nan",
					    "inf", " 1", "1 s", "24.1h", "1e300", "0.1ns"};
	static const struct {
		const char *text;
		int64_t ns;
	} right[] = {{"1", 1000000000},
		     {"0.5", 500000000},
		     {"250ms", 250000000},
		     {"2s", 2000000000},
		     {"1.5m", INT64_C(90000000000)},
		     {"24h", INT64_C(86400000000000)}};
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(argument_time("--t", wrong[i], &ns));
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_true(argument_time("--t", right[i].text, &ns));
		assert_true(ns == right[i].ns);
	}
}

static void numbers_come_with_commas_and_not_too_many(void **state)
{
	static const char *const wrong[] = {"", ",", "1,", ",1", "1,,2", "1,x", "1;2", "-1", "2147483648", "1,2,3,4"};
	int32_t numbers[3];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(argument_numbers("--ops", wrong[i], numbers, 3, &n));
	assert_true(argument_numbers("--ops", "0,1000,2147483647", numbers, 3, &n));
	assert_int_equal(n, 3);
	assert_int_equal(numbers[1], 1000);
	assert_int_equal(numbers[2], INT32_MAX);
}

static void back_off_is_any_time_below_a_bound_that_grows_to_its_end(void **state)
{
	(void)state;
	assert_int_equal(backoff_delay_ms(1, 0), 1);
	assert_int_equal(backoff_delay_ms(1, UINT32_MAX / 2), 1500);
	assert_int_equal(backoff_delay_ms(1, UINT32_MAX), 3000);
	assert_int_equal(backoff_delay_ms(2, UINT32_MAX), 5400);
	for (unsigned attempt = 2; attempt < 100; attempt++) {
		assert_int_equal(backoff_delay_ms(attempt, 0), 1);
		assert_in_range(backoff_delay_ms(attempt, UINT32_MAX), backoff_delay_ms(attempt - 1, UINT32_MAX),
				300000);
	}
	assert_int_equal(backoff_delay_ms(UINT32_MAX, UINT32_MAX), 300000);
	assert_int_equal(backoff_sent_ms(1), 1);
	assert_int_equal(backoff_sent_ms(3000), 188);
}

static void a_secret_is_copied_and_hidden(void **state)
{
	char first[] = "one", second[] = "three";
	char *copy = NULL;

	(void)state;
	assert_string_equal(argument_secret(first, &copy), "one");
	assert_string_equal(first, "***");
	assert_string_equal(argument_secret(second, &copy), "three");
	assert_string_equal(second, "*****");
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_but_plain_characters_is_escaped),
		cmocka_unit_test(a_list_is_a_parameter_for_each_item),
		cmocka_unit_test(a_number_is_nothing_but_digits_within_its_range),
		cmocka_unit_test(a_time_has_a_unit_or_is_in_seconds),
		cmocka_unit_test(numbers_come_with_commas_and_not_too_many),
		cmocka_unit_test(a_secret_is_copied_and_hidden),
		cmocka_unit_test(back_off_is_any_time_below_a_bound_that_grows_to_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
