/* json: nesting is bounded, and nothing else is changed. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "tests/unit/seam.h"

static json_t *nested(unsigned depth, char open, char close)
{
	char text[2 * 3000];

	assert_true(depth <= sizeof(text) / 2);
	memset(text, open, depth);
	memset(text + depth, close, depth);
	return json_read(text, 2 * (size_t)depth, 0);
}

static void arrays_up_to_the_bound_are_read(void **state)
{
	json_t *deepest = nested(JSON_DEPTH_MAX, '[', ']');

	(void)state;
	assert_non_null(deepest);
	json_decref(deepest);
	assert_null(nested(JSON_DEPTH_MAX + 1, '[', ']'));
	assert_null(nested(2000, '[', ']'));
}

static void brackets_in_strings_are_text(void **state)
{
	static const char text[] = "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[{{{{{{{{\\\\\",1]";
	json_t *read = json_read(text, strlen(text), 0);

	(void)state;
	assert_non_null(read);
	assert_int_equal(json_integer_value(json_array_get(read, 1)), 1);
	json_decref(read);
}

static void siblings_do_not_nest(void **state)
{
	char text[401];
	json_t *read;

	(void)state;
	text[0] = '[';
	for (unsigned i = 0; i < 133; i++)
		memcpy(text + 1 + 3 * (size_t)i, i == 0 ? " {}" : ",[]", 3);
	text[400] = ']';
	read = json_read(text, sizeof(text), 0);
	assert_non_null(read);
	assert_int_equal(json_array_size(read), 133);
	json_decref(read);
}

static void what_is_no_json_is_not_read(void **state)
{
	static const char *const texts[] = {"", "{", "]", "[1,]", "\"", "\"\\", "{\"a\":}", "}}}}[", "nonsense"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_null(json_read(texts[i], strlen(texts[i]), 0));
}

static void flags_are_handed_on(void **state)
{
	static const char twice[] = "{\"a\":1,\"a\":2}";
	json_t *read = json_read(twice, strlen(twice), 0);

	(void)state;
	assert_non_null(read);
	json_decref(read);
	assert_null(json_read(twice, strlen(twice), JSON_REJECT_DUPLICATES));
}

struct member_case {
	const char *text, *value;
};

static void a_member_is_found_as_it_is_written(void **state)
{
	static const struct member_case CASES[] = {
		{"{\"m\":1}", "1"},
		{"{\"m\":0.1}", "0.1"},
		{" \n{ \"m\" : 1.50e+3 , \"u\":[1]} ", "1.50e+3"},
		{"{\"u\":[1,{\"m\":2}],\"m\":{\"a\": [1, 2] }}", "{\"a\": [1, 2] }"},
		{"{\"u\":\"m\",\"m\":\"},\\\"]\\\\\"}", "\"},\\\"]\\\\\""},
		{"{\"mm\":1,\"\":2,\"m\":null\t}", "null"},
		{"{\"m\":1,\"m\":[]}", "[]"},
		{"{\"a\":{\"m\":1}}", NULL},
		{"{\"a\":\"\\\",\\\"m\\\":1\"}", NULL},
		{"{\"\\u006d\":1}", NULL},
		{"{}", NULL},
		{" { } ", NULL},
		{"[]", NULL},
		{"[\"m\",1]", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		size_t n = strlen(CASES[i].text), bytes = 0;
		/* Of exactly that size, so that the sanitizer sees a read beyond it. */
		char *exact = malloc(n);
		const char *value;

		assert_non_null(exact);
		memcpy(exact, CASES[i].text, n);
		value = json_member_text(exact, n, "m", &bytes);
		if (CASES[i].value == NULL) {
			assert_null(value);
		} else {
			assert_int_equal(bytes, strlen(CASES[i].value));
			assert_memory_equal(value, CASES[i].value, bytes);
		}
		free(exact);
	}
}

/* ---- without memory ---- */

static void text_that_could_not_be_read_for_want_of_memory_is_told_from_text_that_is_no_json(void **state)
{
	/* Numbers and strings that jansson's lexer has to make room for. */
	static const char text[] =
		"{\"mid\":1234567890123456789,\"key\":\"longer than what it begins with\",\"accepts\":[1,2,3]}";

	(void)state;
	assert_null(json_read("{\"mid\":", 7, 0));
	assert_false(json_ran_out());
	for (unsigned after = 0;; after++) {
		json_t *read;
		bool failed;

		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		read = json_read(text, strlen(text), 0);
		failed = seam_failed(SEAM_ALLOC) > 0;
		seam_reset();
		assert_int_equal(read == NULL, failed);
		assert_int_equal(json_ran_out(), failed);
		json_decref(read);
		if (!failed)
			break;
		assert_in_range(after, 0, 100);
	}
}

static void text_is_written_whole_or_not_at_all(void **state)
{
	json_t *value = json_pack("{s:i,s:s,s:[i,i,{s:n}]}", "code", 0, "message", "of some length", "data", 1, 2, "x");

	(void)state;
	for (unsigned after = 0;; after++) {
		size_t bytes = 0;
		char *text;
		bool failed;

		json_watch();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		text = json_write(value, 0, &bytes);
		failed = seam_failed(SEAM_ALLOC) > 0;
		seam_reset();
		assert_int_equal(text == NULL, failed);
		if (text != NULL) {
			assert_string_equal(text,
					    "{\"code\":0,\"message\":\"of some length\",\"data\":[1,2,{\"x\":null}]}");
			assert_int_equal(bytes, strlen(text));
		}
		free(text);
		if (!failed)
			break;
		assert_in_range(after, 0, 100);
	}
	json_decref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arrays_up_to_the_bound_are_read),
		cmocka_unit_test(brackets_in_strings_are_text),
		cmocka_unit_test(siblings_do_not_nest),
		cmocka_unit_test(what_is_no_json_is_not_read),
		cmocka_unit_test(flags_are_handed_on),
		cmocka_unit_test(a_member_is_found_as_it_is_written),
		cmocka_unit_test(text_that_could_not_be_read_for_want_of_memory_is_told_from_text_that_is_no_json),
		cmocka_unit_test(text_is_written_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
