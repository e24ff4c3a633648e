/* Tests of common/http/http_health. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/http/http_health.h"
#include "tests/unit/seam.h"

static struct http_reply reply;

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	free(reply.body);
	reply = (struct http_reply){0};
	return 0;
}

/* False: it is no path of these. */
static bool ask(const struct http_health *health, const char *method, const char *path, unsigned scopes)
{
	const struct http_request request = {.method = method, .path = path, .key = {.scopes = scopes}};

	free(reply.body);
	reply = (struct http_reply){.status = 500};
	return http_health_handle(health, &request, &reply);
}

static int busy(void *arg, char *text, size_t text_bytes)
{
	memset(text, 'x', text_bytes - 1);
	memcpy(text, arg, strlen(arg));
	text[text_bytes - 1] = '\0';
	return -ENOTCONN;
}

static int free_now(void *arg, char *text, size_t text_bytes)
{
	(void)arg;
	(void)text;
	(void)text_bytes;
	return 0;
}

static void who_runs_is_healthy(void **state)
{
	const struct http_health health = {0};

	(void)state;
	assert_true(ask(&health, "GET", "/healthz", 0));
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.body, "ok\n");
}

static void ready_says_what_it_is_told(void **state)
{
	char words[] = "draining";
	const struct http_health always = {0}, ready = {.ready = free_now}, draining = {.ready = busy, .arg = words};

	(void)state;
	assert_true(ask(&always, "GET", "/readyz", 0));
	assert_int_equal(reply.status, 200);
	assert_true(ask(&ready, "GET", "/readyz", 0));
	assert_string_equal(reply.body, "ready\n");
	assert_true(ask(&draining, "GET", "/readyz", 0));
	assert_int_equal(reply.status, 503);
	/* Words as long as they may be still end with a line. */
	assert_memory_equal(reply.body, "drainingx", 9);
	assert_int_equal(reply.body[reply.body_bytes - 1], '\n');
	assert_int_equal(reply.body_bytes, strlen(reply.body));
}

static void metrics_need_a_key(void **state)
{
	const struct http_health health = {0};

	(void)state;
	assert_true(ask(&health, "GET", "/metrics", 0));
	assert_int_equal(reply.status, 401);
	assert_true(ask(&health, "GET", "/metrics", HTTP_READ));
	assert_int_equal(reply.status, 200);
	assert_non_null(strstr(reply.body, "# TYPE comet_"));
	assert_int_equal(reply.body_bytes, strlen(reply.body));
}

/* The same with a parameter. */
static void ask_history(const struct http_health *health, const char *name, const char *value)
{
	const struct http_param param = {name, value};
	const struct http_request request = {.method = "GET",
					     .path = "/metrics/history",
					     .key = {.scopes = HTTP_METRICS},
					     .params = &param,
					     .n_params = 1};

	free(reply.body);
	reply = (struct http_reply){.status = 500};
	assert_true(http_health_handle(health, &request, &reply));
}

static void history_is_that_of_the_chronicle(void **state)
{
	static const struct chronicle_figure figures[] = {{"held", false}};
	static const char *const wrong[][2] = {
		{"by", "days"},        {"by", ""},   {"last", "0"},  {"last", "1441"},
		{"last", "-1"},        {"last", ""}, {"last", "5s"}, {"last", "99999999999999999999"},
		{"last", "4294967297"}};
	struct http_health health = {0};

	(void)state;
	seam_clock_set(INT64_C(1000000000), 1000);
	assert_int_equal(chronicle_new(figures, 1, &health.chronicle), 0);
	assert_true(ask(&health, "GET", "/metrics/history", 0));
	assert_int_equal(reply.status, 401);
	for (int64_t held = 1; held <= 60; held++) {
		seam_clock_advance(INT64_C(1000000000));
		chronicle_note(health.chronicle, &held);
	}
	ask_history(&health, "last", "2");
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.body,
			    "{\"code\":0,\"message\":\"\",\"data\":{\"since_ms\":1000,\"to_ms\":61000,\"step_s\":1,"
			    "\"sum\":{\"held\":[59,60]}}}");
	assert_int_equal(reply.body_bytes, strlen(reply.body));
	ask_history(&health, "by", "minutes");
	assert_string_equal(reply.body,
			    "{\"code\":0,\"message\":\"\",\"data\":{\"since_ms\":1000,\"to_ms\":61000,\"step_s\":60,"
			    "\"seconds\":[60],\"sum\":{\"held\":[1830]},\"max\":{\"held\":[60]}}}");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ask_history(&health, wrong[i][0], wrong[i][1]);
		assert_int_equal(reply.status, 400);
	}
	seam_fail(SEAM_ALLOC, 1, 1, ENOMEM);
	ask_history(&health, "by", "seconds");
	assert_int_equal(reply.status, 500);
	chronicle_free(&health.chronicle);
}

static void without_memory_the_reply_is_500(void **state)
{
	const struct http_health health = {0};

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_true(ask(&health, "GET", "/metrics", HTTP_READ));
	assert_int_equal(reply.status, 500);
	assert_null(reply.body);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_true(ask(&health, "GET", "/healthz", 0));
	assert_null(reply.body);
	assert_int_equal(reply.body_bytes, 0);
}

static void another_method_is_405(void **state)
{
	const struct http_health health = {0};

	(void)state;
	assert_true(ask(&health, "POST", "/readyz", HTTP_ALL));
	assert_int_equal(reply.status, 405);
	assert_string_equal(reply.extra_header, "Allow");
	assert_string_equal(reply.extra_value, "GET");
}

static void another_path_is_left_alone(void **state)
{
	static const char *const others[] = {"/", "/healthz/", "/metric", "", "/HEALTHZ"};
	const struct http_health health = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_false(ask(&health, "GET", others[i], 0));
		assert_int_equal(reply.status, 500);
		assert_null(reply.body);
	}
}

#define health_test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		health_test(who_runs_is_healthy),
		health_test(ready_says_what_it_is_told),
		health_test(metrics_need_a_key),
		health_test(without_memory_the_reply_is_500),
		health_test(another_method_is_405),
		health_test(another_path_is_left_alone),
		health_test(history_is_that_of_the_chronicle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
