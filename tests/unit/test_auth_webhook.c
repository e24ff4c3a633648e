/* Tests of logic/auth_webhook: what an answer of a back end makes of a client. The calls themselves are tested against a
 * real HTTP server, in tests/e2e/test_auth_webhook.py. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "logic/auth.h"
#include "logic/auth_webhook.h"
#include "tests/unit/seam.h"

#define NOW_S INT64_C(1800000000)

static struct auth_identity who;

static int set_up(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT);
	who = (struct auth_identity){0};
	seam_clock_set(1, NOW_S * 1000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	auth_identity_fini(&who);
	return 0;
}

/* From a buffer of exactly that size, so that the sanitizer sees a read beyond it. */
static int read_answer(const char *text)
{
	size_t n = strlen(text);
	char *exact = malloc(n + (n == 0));
	int rc;

	assert_non_null(exact);
	memcpy(exact, text, n);
	auth_identity_fini(&who);
	who = (struct auth_identity){0};
	rc = auth_webhook_read(exact, n, &who);
	free(exact);
	return rc;
}

static void a_whole_answer_is_taken_over(void **state)
{
	(void)state;
	assert_int_equal(
		read_answer("{\"allow\":true,\"mid\":7,\"key\":\"k\",\"room_id\":\"live://1\",\"accepts\":[1000,"
			    "1001],\"platform\":\"web\",\"heartbeat_s\":30,\"expires_at\":1800000060,"
			    "\"dialect\":1,\"more\":{}}"),
		0);
	assert_int_equal(who.mid, 7);
	assert_string_equal(who.key, "k");
	assert_string_equal(who.room, "live://1");
	assert_string_equal(who.platform, "web");
	assert_int_equal(who.n_accepts, 2);
	assert_int_equal(who.heartbeat_ms, 30000);
	assert_int_equal(who.lifetime_ms, 60000);
	assert_int_equal(who.dialect, DIALECT_V1);
}

static void an_answer_may_name_the_user(void **state)
{
	(void)state;
	assert_int_equal(read_answer("{\"allow\":true,\"user\":\"user@example.com\"}"), 0);
	assert_string_equal(who.name, "user@example.com");
	assert_int_equal(read_answer("{\"allow\":true,\"user\":\"7\"}"), 0);
	assert_int_equal(who.mid, 7);
	assert_null(who.name);
	assert_int_equal(read_answer("{\"allow\":true,\"user\":\"a\\tb\"}"), -EBADMSG);
}

static void what_is_missing_is_left_to_the_settings(void **state)
{
	(void)state;
	assert_int_equal(read_answer("{\"allow\":true}"), 0);
	assert_int_equal(who.mid, 0);
	assert_string_equal(who.key, "");
	assert_string_equal(who.room, "");
	assert_int_equal(who.n_accepts, 0);
	assert_int_equal(who.heartbeat_ms, 0);
	assert_int_equal(who.lifetime_ms, 0);
	assert_int_equal(read_answer("{\"allow\":true,\"expires_at\":null,\"heartbeat_s\":null,\"mid\":null}"), 0);
}

static void a_refusal_has_a_reason_or_the_tables_word(void **state)
{
	(void)state;
	assert_int_equal(read_answer("{\"allow\":false,\"reason\":\"banned\",\"mid\":\"not looked at\"}"),
			 -ERR_REFUSED);
	assert_string_equal(who.refusal, "banned");
	assert_int_equal(who.cause, AUTH_WEBHOOK);
	assert_int_equal(read_answer("{\"allow\":false,\"reason\":7}"), -ERR_REFUSED);
	assert_string_equal(who.refusal, "refused");
	assert_int_equal(read_answer("{\"allow\":true,\"expires_at\":1800000000}"), -ERR_REFUSED);
	assert_int_equal(who.cause, AUTH_EXPIRED);
	assert_int_equal(read_answer("{\"allow\":true,\"expires_at\":1}"), -ERR_REFUSED);
}

static void what_is_no_answer_is_no_refusal(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"null",
		"true",
		"[]",
		"{}",
		"{\"allow\":null}",
		"{\"allow\":1}",
		"{\"allow\":\"false\"}",
		"{\"allow\":true,\"allow\":true}",
		"{\"allow\":true,\"mid\":1.5}",
		"{\"allow\":true,\"mid\":99999999999999999999}",
		"{\"allow\":true,\"key\":\"a\\u0000b\"}",
		"{\"allow\":true,\"key\":\"a\\nb\"}",
		"{\"allow\":true,\"room_id\":1}",
		"{\"allow\":true,\"accepts\":[\"1\"]}",
		"{\"allow\":true,\"heartbeat_s\":86401}",
		"{\"allow\":true,\"heartbeat_s\":-1}",
		"{\"allow\":true,\"expires_at\":-1}",
		"{\"allow\":true,\"expires_at\":1800000000000}",
		"{\"allow\":true,\"expires_at\":9223372036854775807}",
		"{\"allow\":true,\"expires_at\":1.5e9}",
		"{\"allow\":true,\"dialect\":3}",
		"{\"allow\":true,\"dialect\":-1}",
		"{\"allow\":true,\"heartbeat_s\":9223372036854775807}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (read_answer(texts[i]) != -EBADMSG)
			fail_msg("taken for an answer: %s", texts[i]);
}

static void without_memory_it_is_no_answer(void **state)
{
	unsigned failed = 0;

	(void)state;
	/* The first allocation is the copy of the text. */
	for (unsigned after = 1;; after++) {
		int rc;

		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = read_answer("{\"allow\":true,\"mid\":7,\"accepts\":[1]}");
		if (seam_failed(SEAM_ALLOC) == failed) {
			assert_int_equal(rc, 0);
			break;
		}
		failed++;
		assert_int_equal(rc, -ENOMEM);
	}
	assert_true(failed > 10);
}

static void nobody_at_the_address_is_no_logic(void **state)
{
	const struct auth_request request = {
		.token = (const uint8_t *)"7", .token_bytes = 1, .peer = "10.0.0.9", .server = "c"};
	struct config cfg;
	struct auth *a;

	(void)state;
	seam_reset();
	assert_int_equal(config_init(&cfg), 0);
	assert_int_equal(config_flag(&cfg, "auth.mode=webhook", stderr), 0);
	assert_int_equal(auth_new(&cfg, &a), -ERR_CONFIG);
	/* The port of nothing: what is refused by the kernel at once. */
	assert_int_equal(config_flag(&cfg, "auth.url=http://127.0.0.1:1/", stderr), 0);
	assert_int_equal(auth_new(&cfg, &a), 0);
	assert_true(auth_waits(a));
	assert_null(auth_reload(a).self);
	assert_null(auth_reload_rooms(a).self);
	assert_int_equal(auth_check(a, &request, &who), -ERR_NO_LOGIC);
	assert_int_equal(who.cause, AUTH_WEBHOOK_UNREACHABLE);
	auth_free(&a);
	config_fini(&cfg);
}

/* Both questions go to the port of nothing. */
static void ask_both_of_nobody(struct config *cfg)
{
	assert_int_equal(config_init(cfg), 0);
	assert_int_equal(config_flag(cfg, "auth.mode=webhook", stderr), 0);
	assert_int_equal(config_flag(cfg, "auth.url=http://127.0.0.1:1/", stderr), 0);
	assert_int_equal(config_flag(cfg, "auth.rooms=webhook", stderr), 0);
	assert_int_equal(config_flag(cfg, "auth.room_url=http://127.0.0.1:1/", stderr), 0);
}

static void a_start_that_fails_leaves_nothing(void **state)
{
	unsigned failed = 0;
	struct config cfg;
	struct auth *a;

	(void)state;
	seam_reset();
	ask_both_of_nobody(&cfg);
	for (int rc = -ENOMEM; rc < 0;) {
		seam_fail(SEAM_ALLOC, failed, 1, ENOMEM);
		rc = auth_new(&cfg, &a);
		if (seam_failed(SEAM_ALLOC) > failed) {
			failed++;
			assert_int_equal(rc, -ENOMEM);
		} else {
			assert_int_equal(rc, 0);
		}
	}
	seam_fail(SEAM_ALLOC, 0, 0, 0);
	assert_int_equal(failed, 8); /* auth; webhook, calls, refused questions, networks; rooms, calls, answers */
	auth_free(&a);
	assert_int_equal(config_flag(&cfg, "auth.secret_file=/nowhere", stderr), 0);
	assert_int_equal(auth_new(&cfg, &a), -ENOENT);
	config_fini(&cfg);
}

/* The secret is that of both questions. */
static void both_questions_read_the_secret_again(void **state)
{
	char file[] = "/tmp/comet-test-secret-XXXXXX", setting[64];
	int fd = mkstemp(file);
	struct config cfg;
	struct auth *a;

	(void)state;
	seam_reset();
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "secret\n", 7), 7);
	assert_int_equal(close(fd), 0);
	(void)snprintf(setting, sizeof(setting), "auth.secret_file=%s", file);
	ask_both_of_nobody(&cfg);
	assert_int_equal(config_flag(&cfg, setting, stderr), 0);
	assert_int_equal(auth_new(&cfg, &a), 0);
	assert_int_equal(reload_all((struct reload_part[]){auth_reload(a), auth_reload_rooms(a)}, 2), 2);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(reload_all((struct reload_part[]){auth_reload(a), auth_reload_rooms(a)}, 2), -ENOENT);
	auth_free(&a);
	config_fini(&cfg);
}

/* Such a call looks no name up, so that the next one need not wait for a name server. */
static void a_call_that_has_no_time_left_is_none_that_found_no_name(void **state)
{
	const struct auth_request request = {
		.token = (const uint8_t *)"7", .token_bytes = 1, .peer = "10.0.0.9", .server = "c"};
	struct config cfg;
	struct auth *a;

	(void)state;
	seam_reset();
	assert_int_equal(config_init(&cfg), 0);
	assert_int_equal(config_flag(&cfg, "auth.mode=webhook", stderr), 0);
	assert_int_equal(config_flag(&cfg, "auth.url=http://127.0.0.1:1/", stderr), 0);
	cfg.auth_timeout = 0;
	assert_int_equal(auth_new(&cfg, &a), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(auth_check(a, &request, &who), -ERR_NO_LOGIC);
		assert_int_equal(who.cause, AUTH_WEBHOOK_TIMEOUT);
	}
	auth_free(&a);
	config_fini(&cfg);
}

#define webhook_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		webhook_test(a_whole_answer_is_taken_over),
		webhook_test(an_answer_may_name_the_user),
		webhook_test(what_is_missing_is_left_to_the_settings),
		webhook_test(a_refusal_has_a_reason_or_the_tables_word),
		webhook_test(what_is_no_answer_is_no_refusal),
		webhook_test(without_memory_it_is_no_answer),
		webhook_test(nobody_at_the_address_is_no_logic),
		webhook_test(a_start_that_fails_leaves_nothing),
		webhook_test(both_questions_read_the_secret_again),
		webhook_test(a_call_that_has_no_time_left_is_none_that_found_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
