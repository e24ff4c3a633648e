/* Tests of logic/api_body: parameters of JSON and of a form, and what is neither. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "logic/api_body.h"
#include "tests/unit/seam.h"

#define JSON "application/json"
#define FORM "application/x-www-form-urlencoded"

static struct http_request request_of(const char *type, const char *body)
{
	return (struct http_request){
		.method = "POST", .content_type = type, .body = (const uint8_t *)body, .body_bytes = strlen(body)};
}

/* What it holds, written as <name=value><name=value>, and the message behind it. */
static const char *read_body(const char *type, const char *body, int *rc)
{
	const struct http_request request = request_of(type, body);
	static char text[1024];
	struct api_body b;
	size_t at = 0;

	assert_true(api_body_has_params(&request));
	*rc = api_body_init(&b, &request);
	text[0] = '\0';
	for (size_t i = 0; *rc == 0 && i < b.request.n_params; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "<%s=%s>", b.request.params[i].name,
				       b.request.params[i].value);
	if (*rc == 0)
		(void)snprintf(text + at, sizeof(text) - at, "%.*s", (int)b.request.body_bytes,
			       (const char *)b.request.body);
	api_body_fini(&b);
	return text;
}

static void both_kinds_say_the_same(void **state)
{
	static const struct {
		const char *type, *body, *holds;
	} cases[] = {
		{JSON, "{\"operation\":1000,\"mids\":[1,-2,\"3\"],\"body\":\"hi\"}",
		 "<operation=1000><mids=1><mids=-2><mids=3><body=hi>hi"},
		{FORM, "operation=1000&mids=1&mids=-2&mids=3&body=h%69",
		 "<operation=1000><mids=1><mids=-2><mids=3><body=hi>hi"},
		{JSON "; charset=utf-8", " {} ", ""},
		{JSON, "{\"keys\":[]}", ""},
		{JSON, "{\"keys\":\"a,b\"}", "<keys=a,b>"},
		{JSON, "{\"all\":true,\"tell\":false}", "<all=1><tell=0>"},
		{JSON, "{\"n\":9223372036854775807}", "<n=9223372036854775807>"},
		{FORM ";x=y", "a+b=c", "<a b=c>"},
	};
	int rc;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(read_body(cases[i].type, cases[i].body, &rc), cases[i].holds);
		assert_int_equal(rc, 0);
	}
}

static void what_is_neither_is_an_error(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} cases[] = {
		{"{", -EINVAL},
		{"[1]", -EINVAL},
		{"{\"a\":1,\"a\":2}", -EINVAL},
		{"{\"a\":1} x", -EINVAL},
		{"{\"a\":\"\\u0000\"}", -EINVAL},
		{"{\"a\":18446744073709551616}", -EINVAL},
		{"{\"a\":1.5}", -EDOM},
		{"{\"a\":null}", -EDOM},
		{"{\"a\":{}}", -EDOM},
		{"{\"a\":[[1]]}", -EDOM},
	};
	int rc;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)read_body(JSON, cases[i].text, &rc);
		assert_int_equal(rc, cases[i].rc);
	}
	(void)read_body(FORM, "a=%0", &rc);
	assert_int_equal(rc, -EINVAL);
}

static void a_body_is_looked_at_only_where_it_may_hold_parameters(void **state)
{
	static const char *const types[] = {NULL, "text/plain", "application/jsonp", "application/json-seq", "json"};
	const struct http_param param = {"operation", "1"};
	struct http_request request;

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		request = request_of(types[i], "{}");
		assert_false(api_body_has_params(&request));
	}
	request = request_of(JSON, "");
	assert_false(api_body_has_params(&request));
	request = request_of(JSON, "{}");
	request.method = "GET";
	assert_false(api_body_has_params(&request));
	request = request_of(JSON, "{}");
	request.params = &param;
	request.n_params = 1;
	assert_false(api_body_has_params(&request)); /* it is the message */
}

static void json_without_its_type_is_known_by_its_brace(void **state)
{
	static const struct {
		const char *type, *body;
		bool lacks;
	} cases[] = {
		{FORM, "{\"a\":1}", true}, {NULL, " \r\n\t{", true}, {"text/plain", "{}", true}, {JSON, "{}", false},
		{FORM, "a={", false},      {NULL, "[1]", false},     {NULL, "", false},          {NULL, "   ", false},
	};
	const struct http_param param = {"operation", "1"};
	struct http_request request;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		request = request_of(cases[i].type, cases[i].body);
		assert_int_equal(api_body_lacks_type(&request), cases[i].lacks);
	}
	request = request_of(NULL, "{}");
	request.method = "GET";
	assert_false(api_body_lacks_type(&request));
	request = request_of(NULL, "{}");
	request.params = &param;
	request.n_params = 1;
	assert_false(api_body_lacks_type(&request)); /* it is the message */
	request = request_of(NULL, "\0{");
	request.body_bytes = 2;
	assert_false(api_body_lacks_type(&request));
}

static void without_memory_it_says_so_and_leaves_nothing(void **state)
{
	static const char *const bodies[][2] = {{JSON, "{\"a\":[1,2,\"3\"]}"}, {FORM, "a=1&a=2&a=3"}};
	int rc;

	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (unsigned after = 0;; after++) {
			seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
			(void)read_body(bodies[i][0], bodies[i][1], &rc);
			if (seam_failed(SEAM_ALLOC) == 0) {
				assert_int_equal(rc, 0);
				assert_true(after >= 2);
				seam_reset();
				break;
			}
			assert_int_equal(rc, -ENOMEM);
			seam_reset();
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_kinds_say_the_same),
		cmocka_unit_test(what_is_neither_is_an_error),
		cmocka_unit_test(a_body_is_looked_at_only_where_it_may_hold_parameters),
		cmocka_unit_test(json_without_its_type_is_known_by_its_brace),
		cmocka_unit_test(without_memory_it_says_so_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
