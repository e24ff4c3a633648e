/* Tests of common/http/http_guard: whom it lets do what, how often, and in which words and by which number it says no.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/http/http_guard.h"
#include "tests/unit/seam.h"

static const struct rate TWO = {.per_second = 2, .burst_ns = CLOCK_SEC};
static const char *const PROBES[] = {"/healthz", NULL};

static struct http_guard guard;
static struct http_keys *keys;
static struct http_request request;
static struct http_reply reply;
static int64_t refused_before;

static void start(const char *api_key, const struct rate *rate)
{
	if (api_key != NULL)
		assert_int_equal(http_keys_new(api_key, "", &keys), 0);
	assert_int_equal(http_guard_init(&guard, keys, rate, PROBES), 0);
}

static int set_up(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT);
	seam_clock_set(CLOCK_SEC, 1);
	request = (struct http_request){.method = "POST", .path = "/v2/push", .peer = "192.0.2.1"};
	reply = (struct http_reply){.status = 500};
	refused_before = counters_read(COUNT_HTTP_REFUSED);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	http_guard_fini(&guard);
	if (keys != NULL)
		http_keys_free(&keys);
	free(reply.body);
	return 0;
}

static bool may(const char *shown, unsigned scopes)
{
	request.key = (struct http_key){0};
	http_guard_identify(&guard, shown, NULL, &request);
	return http_guard_may(&request, scopes, &reply);
}

/* The last call got this answer, and was counted. */
static void assert_refused(int status, const char *words)
{
	assert_int_equal(reply.status, status);
	assert_string_equal(reply.content_type, "application/json; charset=utf-8");
	assert_non_null(strstr(reply.body, words));
	assert_int_equal(reply.body_bytes, strlen(reply.body));
	assert_int_equal(counters_read(COUNT_HTTP_REFUSED), ++refused_before);
}

static void where_no_key_is_set_everybody_may_do_everything(void **state)
{
	static const struct rate none;

	(void)state;
	start(NULL, &none);
	assert_true(may(NULL, HTTP_PUSH));
	assert_true(may("anything", HTTP_KICK));
	for (int i = 0; i < 1000; i++)
		assert_true(http_guard_pass_rate(&guard, &request, &reply));
	assert_int_equal(counters_read(COUNT_HTTP_REFUSED), refused_before);
}

static void without_a_key_pages_of_others_may_not(void **state)
{
	(void)state;
	start(NULL, &TWO);
	request.is_elsewheres = true;
	assert_false(may(NULL, HTTP_PUSH));
	assert_refused(403, "another site");
	assert_false(may("a key that is not looked at", HTTP_PUSH));
	assert_refused(403, "another site");
	assert_true(may(NULL, HTTP_FREE));
	request.is_elsewheres = false;
	request.is_renamed = true;
	assert_false(may(NULL, HTTP_PUSH));
	assert_refused(403, "localhost");
}

static void a_page_that_has_the_key_may(void **state)
{
	(void)state;
	start("the one key", &TWO);
	request.is_elsewheres = true;
	request.is_renamed = true;
	assert_true(may("the one key", HTTP_PUSH));
	assert_false(may(NULL, HTTP_PUSH));
	assert_refused(403, "another site");
	assert_false(may("a wrong one", HTTP_PUSH));
	assert_refused(401, "X-Api-Key");
}

static void who_shows_no_key_or_a_wrong_one_is_401(void **state)
{
	(void)state;
	start("the one key", &TWO);
	assert_false(may(NULL, HTTP_READ));
	assert_refused(401, "X-Api-Key");
	assert_string_equal(reply.extra_header, "WWW-Authenticate");
	assert_string_equal(reply.extra_value, "Bearer");
	assert_false(may("the one kex", HTTP_READ));
	assert_refused(401, "X-Api-Key");
	assert_true(may("the one key", HTTP_READ));
}

static void a_key_without_the_scope_is_403(void **state)
{
	(void)state;
	start("the one key", &TWO);
	request.key = (struct http_key){.name = "shop", .scopes = HTTP_PUSH};
	request.has_shown_key = true;
	assert_true(http_guard_may(&request, HTTP_PUSH, &reply));
	assert_true(http_guard_may(&request, HTTP_PUSH | HTTP_READ, &reply));
	assert_false(http_guard_may(&request, HTTP_KICK, &reply));
	assert_refused(403, "lacks the scope kick;");
	assert_false(http_guard_may(&request, HTTP_ONLINE | HTTP_ADMIN, &reply));
	assert_refused(403, "lacks the scope online or admin;");
	assert_null(strstr(reply.body, "shop"));
}

static void a_key_with_rooms_is_for_no_others(void **state)
{
	(void)state;
	start("the one key", &TWO);
	request.key = (struct http_key){.name = "shop", .scopes = HTTP_PUSH_ROOMS, .rooms = "live://*, dm://1"};
	assert_true(http_guard_may_room(&request, "live://1", &reply));
	assert_true(http_guard_may_room(&request, "dm://1", &reply));
	assert_false(http_guard_may_room(&request, "dm://2", &reply));
	assert_refused(403, "not for this room");
}

static void a_key_that_is_over_is_401(void **state)
{
	char path[] = "/tmp/test-http-guard-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(dprintf(fd, "old push k-old until=2001-09-09T01:46:40Z\n"), 42);
	assert_int_equal(close(fd), 0);
	assert_int_equal(http_keys_new("", path, &keys), 0);
	assert_int_equal(http_guard_init(&guard, keys, &TWO, PROBES), 0);
	seam_clock_set(CLOCK_SEC, INT64_C(999999999999));
	assert_true(may("k-old", HTTP_PUSH));
	seam_clock_set(CLOCK_SEC, INT64_C(1000000000000));
	assert_false(may("k-old", HTTP_PUSH));
	assert_refused(401, "over");
	assert_int_equal(request.key.scopes, 0);
	assert_int_equal(unlink(path), 0);
}

static void a_rate_of_the_keys_own_counts_instead(void **state)
{
	(void)state;
	start(NULL, &TWO);
	request.key = (struct http_key){.name = "shop", .scopes = HTTP_PUSH, .rate = 5};
	for (int i = 0; i < 5; i++)
		assert_true(http_guard_pass_rate(&guard, &request, &reply));
	assert_false(http_guard_pass_rate(&guard, &request, &reply));
	assert_refused(429, "rate= of this API key");
}

static void a_rate_of_the_keys_own_counts_without_another(void **state)
{
	static const struct rate none = {.burst_ns = CLOCK_SEC};

	(void)state;
	start(NULL, &none);
	request.key = (struct http_key){.name = "shop", .scopes = HTTP_PUSH, .rate = 1};
	assert_true(http_guard_pass_rate(&guard, &request, &reply));
	assert_false(http_guard_pass_rate(&guard, &request, &reply));
	assert_refused(429, "rate= of this API key");
}

static void more_than_the_rate_is_429_until_the_time_that_it_says(void **state)
{
	(void)state;
	start(NULL, &TWO);
	assert_true(http_guard_pass_rate(&guard, &request, &reply));
	assert_true(http_guard_pass_rate(&guard, &request, &reply));
	assert_false(http_guard_pass_rate(&guard, &request, &reply));
	assert_refused(429, "http.rate");
	assert_string_equal(reply.extra_header, "Retry-After");
	assert_string_equal(reply.extra_value, "1");
	seam_clock_advance(CLOCK_SEC);
	assert_true(http_guard_pass_rate(&guard, &request, &reply));
}

static void each_key_each_address_and_no_probe_is_bounded(void **state)
{
	(void)state;
	start(NULL, &TWO);
	while (http_guard_pass_rate(&guard, &request, &reply))
		;
	assert_refused(429, "http.rate");
	request.peer = "192.0.2.2";
	assert_true(http_guard_pass_rate(&guard, &request, &reply));
	request.peer = "192.0.2.1";
	request.key = (struct http_key){.name = "shop", .scopes = HTTP_PUSH};
	assert_true(http_guard_pass_rate(&guard, &request, &reply));
	request.key = (struct http_key){0};
	request.path = PROBES[0];
	for (int i = 0; i < 1000; i++)
		assert_true(http_guard_pass_rate(&guard, &request, &reply));
}

static void a_body_too_long_is_413(void **state)
{
	(void)state;
	start(NULL, &TWO);
	http_guard_refuse_body(&reply);
	assert_refused(413, "http.max_body");
}

static void without_memory_there_is_no_guard(void **state)
{
	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(http_guard_init(&guard, NULL, &TWO, PROBES), -ENOMEM);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(where_no_key_is_set_everybody_may_do_everything),
		CASE(without_a_key_pages_of_others_may_not),
		CASE(a_page_that_has_the_key_may),
		CASE(who_shows_no_key_or_a_wrong_one_is_401),
		CASE(a_key_without_the_scope_is_403),
		CASE(a_key_with_rooms_is_for_no_others),
		CASE(a_key_that_is_over_is_401),
		CASE(a_rate_of_the_keys_own_counts_instead),
		CASE(a_rate_of_the_keys_own_counts_without_another),
		CASE(more_than_the_rate_is_429_until_the_time_that_it_says),
		CASE(each_key_each_address_and_no_probe_is_bounded),
		CASE(a_body_too_long_is_413),
		CASE(without_memory_there_is_no_guard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
