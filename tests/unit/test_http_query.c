/* Tests of common/http/http_query: what percent-encoding stands for, and what is none. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http/http_query.h"
#include "common/http/http_request.h"
#include "tests/unit/seam.h"

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

/* What a query holds, written as <name=value><name=value>, and how it ended. */
static const char *decoded(const char *query, int *rc)
{
	static char text[1024];
	char *own = strdup(query);
	struct http_param *params = NULL;
	size_t n = 0, at = 0;

	*rc = http_params_decode(own, &params, &n);
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "<%s=%s>", params[i].name, params[i].value);
	free(params);
	free(own);
	return text;
}

struct query_case {
	const char *query, *holds;
};

static void queries_are_taken_apart_and_decoded(void **state)
{
	static const struct query_case CASES[] = {
		{"", ""},
		{"a=1", "<a=1>"},
		{"a=1&b=2&a=3", "<a=1><b=2><a=3>"},
		{"&&a=1&&b=2&", "<a=1><b=2>"},
		{"a", "<a=>"},
		{"a=", "<a=>"},
		{"=1", "<=1>"},
		{"=", "<=>"},
		{"a=b=c", "<a=b=c>"},
		{"a+b=c+d", "<a b=c d>"},
		{"%61%3D=%26%2b%25", "<a==&+%>"},
		{"a=%e4%BD%a0", "<a=\xe4\xbd\xa0>"},
		{"a=%ff", "<a=\xff>"},
		{"a=%01", "<a=\x01>"},
		{"a=%2500", "<a=%00>"},
		{"a=1;b=2", "<a=1;b=2>"},
	};
	int rc;

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		assert_string_equal(decoded(CASES[i].query, &rc), CASES[i].holds);
		assert_int_equal(rc, 0);
	}
}

static void broken_encoding_ends_the_list_behind_what_was_sound(void **state)
{
	static const struct query_case CASES[] = {
		{"%", ""},
		{"a=%", ""},
		{"a=%4", ""},
		{"a=%4g", ""},
		{"a=%g4", ""},
		{"a=%%41", ""},
		{"a=%00", ""},
		{"%00=a", ""},
		{"a=1&b=%0&c=3", "<a=1>"},
		{"a=% 41", ""},
		{"a=%+1", ""},
		{"a=1&b=2&c=3&%", "<a=1><b=2><c=3>"},
		{"a=%4&1=2", ""},
		{"a=1&b=%00", "<a=1>"},
	};
	int rc;

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		assert_string_equal(decoded(CASES[i].query, &rc), CASES[i].holds);
		assert_int_equal(rc, -EINVAL);
	}
}

static void any_number_of_parameters_fits(void **state)
{
	char query[8 * 300 + 1] = "";
	struct http_param *params = NULL;
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i < 300; i++)
		(void)snprintf(query + strlen(query), 9, "m=%u&", i);
	assert_int_equal(http_params_decode(query, &params, &n), 0);
	assert_int_equal(n, 300);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(strtoul(params[i].value, NULL, 10), i);
	free(params);
}

static void a_second_query_is_added_behind_the_first(void **state)
{
	char first[] = "a=1&b=2&c=3", second[] = "d=4&e=5";
	struct http_param *params = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(http_params_decode(first, &params, &n), 0);
	assert_int_equal(http_params_decode(second, &params, &n), 0);
	assert_int_equal(n, 5);
	assert_string_equal(params[2].name, "c");
	assert_string_equal(params[4].value, "5");
	free(params);
}

static void no_memory_leaves_what_was_read(void **state)
{
	char query[] = "a=1&b=2&c=3";
	struct http_param *params = NULL;
	size_t n = 0;

	(void)state;
	seam_fail(SEAM_ALLOC, 1, 1, ENOMEM);
	assert_int_equal(http_params_decode(query, &params, &n), -ENOMEM);
	assert_int_equal(seam_failed(SEAM_ALLOC), 1);
	assert_int_equal(n, 1);
	assert_string_equal(params[0].value, "1");
	free(params);
}

static void a_path_is_decoded_in_place_and_keeps_its_plus(void **state)
{
	char path[] = "/a+b%20c%2Fd%2f%25";

	(void)state;
	assert_int_equal(http_path_decode(path), 0);
	assert_string_equal(path, "/a+b c/d/%");
}

static void a_broken_path_stays_as_it_was(void **state)
{
	static const char *const paths[] = {"/%", "/%41%4", "/%41%zz", "/%41%00"};
	char path[16];

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s", paths[i]);
		assert_int_equal(http_path_decode(path), -EINVAL);
		assert_string_equal(path, paths[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(queries_are_taken_apart_and_decoded, tear_down),
		cmocka_unit_test_teardown(broken_encoding_ends_the_list_behind_what_was_sound, tear_down),
		cmocka_unit_test_teardown(any_number_of_parameters_fits, tear_down),
		cmocka_unit_test_teardown(a_second_query_is_added_behind_the_first, tear_down),
		cmocka_unit_test_teardown(no_memory_leaves_what_was_read, tear_down),
		cmocka_unit_test_teardown(a_path_is_decoded_in_place_and_keeps_its_plus, tear_down),
		cmocka_unit_test_teardown(a_broken_path_stays_as_it_was, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
