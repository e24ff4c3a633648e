/* Tests of logic/auth in mode open: who a token says its client is, in which dialect, and which tokens are refused.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/wire/wire.h"
#include "logic/auth.h"
#include "tests/unit/seam.h"

static struct config cfg;
static struct auth *a;
static struct auth_identity who;

static int set_up(void **state)
{
	(void)state;
	return config_init(&cfg) < 0 ? -1 : auth_new(&cfg, &a);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	auth_free(&a);
	config_fini(&cfg);
	return 0;
}

/* From a buffer of exactly that size, so that the sanitizer sees a read beyond it. */
static int check_bytes(const char *token, size_t n)
{
	uint8_t *exact = malloc(n + (n == 0));
	int rc;

	assert_non_null(exact);
	if (n > 0)
		memcpy(exact, token, n);
	rc = auth_check(a, &(struct auth_request){.token = exact, .token_bytes = n, .peer = "10.0.0.9", .server = "c"},
			&who);
	free(exact);
	return rc;
}

static int check(const char *token)
{
	return check_bytes(token, strlen(token));
}

static void is_v1(const char *token, int64_t mid, const char *room)
{
	assert_int_equal(check(token), 0);
	assert_int_equal(who.dialect, DIALECT_V1);
	assert_int_equal(who.mid, mid);
	assert_string_equal(who.key, "");
	assert_string_equal(who.room, room);
	assert_null(who.accepts);
	auth_identity_fini(&who);
}

static void is_refused(const char *token, const char *words)
{
	assert_int_equal(check(token), -ERR_REFUSED);
	assert_string_equal(who.refusal, words);
	assert_null(who.key);
	assert_null(who.room);
	assert_null(who.platform);
	assert_null(who.accepts);
	assert_int_equal(who.n_accepts, 0);
}

/* ---- version 1 ---- */

static void a_number_is_a_user_of_version_1_in_room_1(void **state)
{
	(void)state;
	is_v1("123", 123, "1");
	is_v1("0", 0, "1");
	is_v1("007", 7, "1");
	is_v1("9223372036854775807", INT64_MAX, "1");
}

static void what_is_neither_a_number_nor_a_token_is_user_0_of_version_1(void **state)
{
	static const char *const tokens[] = {"",
					     "-1",
					     "+1",
					     " 1",
					     "1 ",
					     "1.5",
					     "12a",
					     "9223372036854775808",
					     "00000000000000000001",
					     "{}",
					     "[]",
					     "[1",
					     "\"mid\"",
					     "nil",
					     "{\"uid\":1}",
					     "{\"data\":{}}",
					     " {\"data\":{\"mid\":1}}",
					     "1,",
					     "1,x",
					     "1,-",
					     "1, 2",
					     "1,+2",
					     ",2",
					     "1,2,3",
					     "1,2147483648",
					     "1,-2147483649",
					     "\xff",
					     "\xef\xbb\xbf",
					     "\xef\xbb\xbf 1"};

	(void)state;
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
		is_v1(tokens[i], 0, "");
}

static void a_number_and_a_room_are_a_user_of_version_1_in_that_room(void **state)
{
	(void)state;
	is_v1("1,413", 1, "413");
	is_v1("007,007", 7, "7");
	is_v1("0,0", 0, "0");
	is_v1("1,2147483647", 1, "2147483647");
	is_v1("1,-2147483648", 1, "-2147483648");
	is_v1("1,-1", 1, ""); /* goim's number for no room */
}

static void a_zero_byte_ends_no_number(void **state)
{
	(void)state;
	assert_int_equal(check_bytes("12\0", 3), 0);
	assert_int_equal(who.mid, 0);
	auth_identity_fini(&who);
}

static void deep_nesting_is_no_token(void **state)
{
	char text[4000];

	(void)state;
	memset(text, '[', sizeof(text));
	assert_int_equal(check_bytes(text, sizeof(text)), 0);
	assert_int_equal(who.dialect, DIALECT_V1);
	auth_identity_fini(&who);
}

/* ---- version 2 ---- */

static void a_whole_token_is_taken_over(void **state)
{
	(void)state;
	assert_int_equal(
		check("{\"mid\":123,\"key\":\"k\",\"room_id\":\"live://1\",\"platform\":\"web\",\"accepts\":[1000,"
		      "-1,1000]}"),
		0);
	assert_int_equal(who.dialect, DIALECT_V2);
	assert_int_equal(who.mid, 123);
	assert_string_equal(who.key, "k");
	assert_string_equal(who.room, "live://1");
	assert_string_equal(who.platform, "web");
	assert_int_equal(who.n_accepts, 3);
	assert_int_equal(who.accepts[0], 1000);
	assert_int_equal(who.accepts[1], -1);
	assert_int_equal(who.accepts[2], 1000);
	auth_identity_fini(&who);
	assert_null(who.key);
	assert_int_equal(who.n_accepts, 0);
	auth_identity_fini(&who);
}

static void a_user_may_have_a_name_where_the_token_has_no_number(void **state)
{
	(void)state;
	assert_int_equal(check("{\"user\":\"auth0|5f\",\"mid\":0}"), 0);
	assert_int_equal(who.dialect, DIALECT_V2);
	assert_string_equal(who.name, "auth0|5f");
	auth_identity_fini(&who);
	assert_null(who.name);
	assert_int_equal(check("{\"User\":\"123\"}"), 0);
	assert_int_equal(who.mid, 123);
	assert_null(who.name);
	auth_identity_fini(&who);
	/* Tokens of goim's clients may have other members of their own. */
	assert_int_equal(check("{\"mid\":123,\"user\":{\"name\":\"Ann\"}}"), 0);
	assert_int_equal(who.mid, 123);
	assert_null(who.name);
	auth_identity_fini(&who);
	assert_int_equal(check("{\"user\":\"\"}"), -ERR_REFUSED);
	assert_string_equal(who.refusal, "user is empty, too long or has control characters");
	assert_int_equal(check("{\"user\":7}"), -ERR_REFUSED);
	assert_string_equal(who.refusal, "user is not a string");
}

static void any_single_field_makes_a_token_of_version_2(void **state)
{
	static const char *const tokens[] = {"{\"mid\":0}",         "{\"key\":\"\"}",     "{\"room_id\":\"\"}",
					     "{\"platform\":\"\"}", "{\"accepts\":[]}",   "{\"mid\":null}",
					     "{\"key\":null}",      "{\"room_id\":null}", "{\"platform\":null}",
					     "{\"accepts\":null}",  " {\"mid\" : 0}\n",   "{\"x\":1,\"mid\":0}"};

	(void)state;
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		assert_int_equal(check(tokens[i]), 0);
		assert_int_equal(who.dialect, DIALECT_V2);
		assert_int_equal(who.mid, 0);
		assert_string_equal(who.key, "");
		assert_string_equal(who.room, "");
		assert_string_equal(who.platform, "");
		assert_int_equal(who.n_accepts, 0);
		auth_identity_fini(&who);
	}
}

static void a_field_of_the_wrong_kind_is_refused_by_its_name(void **state)
{
	(void)state;
	is_refused("{\"mid\":\"1\"}", "mid is not a whole number");
	is_refused("{\"mid\":1.0}", "mid is not a whole number");
	is_refused("{\"mid\":true}", "mid is not a whole number");
	is_refused("{\"key\":1}", "key is not a string");
	is_refused("{\"key\":\"k\",\"room_id\":[]}", "room_id is not a string");
	is_refused("{\"key\":\"k\",\"room_id\":\"r\",\"platform\":{}}", "platform is not a string");
	is_refused("{\"accepts\":1}", "accepts is not a list of operations");
	is_refused("{\"accepts\":[\"1\"]}", "accepts is not a list of operations");
	is_refused("{\"accepts\":[1,2.5]}", "accepts is not a list of operations");
	is_refused("{\"accepts\":[2147483648]}", "accepts is not a list of operations");
	is_refused("{\"accepts\":[-2147483649]}", "accepts is not a list of operations");
}

static void control_characters_are_refused(void **state)
{
	static const char *const parts[] = {"\\n", "\\u0000", "\\u0001", "\\u007f", "a\\u0000b", "\\t", "x\\r\\n"};
	char token[64];

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		(void)snprintf(token, sizeof(token), "{\"key\":\"%s\"}", parts[i]);
		is_refused(token, "key is too long or has control characters");
		(void)snprintf(token, sizeof(token), "{\"room_id\":\"%s\"}", parts[i]);
		is_refused(token, "room_id is too long or has control characters");
		(void)snprintf(token, sizeof(token), "{\"platform\":\"%s\"}", parts[i]);
		is_refused(token, "platform is too long or has control characters");
	}
}

static void names_in_any_script_are_taken(void **state)
{
	(void)state;
	assert_int_equal(check("{\"key\":\"\xe4\xbd\xa0 \\u4f60/'\"}"), 0);
	assert_string_equal(who.key, "\xe4\xbd\xa0 \xe4\xbd\xa0/'");
	auth_identity_fini(&who);
}

static void the_longest_names_are_taken_and_longer_ones_refused(void **state)
{
	static const struct {
		const char *field;
		size_t bytes_max;
	} CASES[] = {{"key", WIRE_KEY_BYTES}, {"room_id", WIRE_ROOM_BYTES}, {"platform", WIRE_TEXT_BYTES}};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char name[WIRE_KEY_BYTES + 1], token[WIRE_KEY_BYTES + 64], words[96];

		memset(name, 'x', sizeof(name));
		name[CASES[i].bytes_max - 1] = '\0';
		(void)snprintf(token, sizeof(token), "{\"%s\":\"%s\"}", CASES[i].field, name);
		assert_int_equal(check(token), 0);
		auth_identity_fini(&who);
		name[CASES[i].bytes_max - 1] = 'x';
		name[CASES[i].bytes_max] = '\0';
		(void)snprintf(token, sizeof(token), "{\"%s\":\"%s\"}", CASES[i].field, name);
		(void)snprintf(words, sizeof(words), "%s is too long or has control characters", CASES[i].field);
		is_refused(token, words);
	}
}

/* A token that accepts n operations, the last of them the highest. */
static int check_accepts(unsigned n)
{
	char token[16 * 300] = "{\"accepts\":[";

	assert_true(n < 290);
	for (unsigned i = 1; i < n; i++)
		(void)snprintf(token + strlen(token), 16, "%u,", i);
	(void)snprintf(token + strlen(token), 16, "2147483647]}");
	return check(token);
}

static void so_many_operations_are_accepted_and_no_more(void **state)
{
	(void)state;
	assert_int_equal(check_accepts(WIRE_ACCEPTS_MAX), 0);
	assert_int_equal(who.n_accepts, WIRE_ACCEPTS_MAX);
	assert_int_equal(who.accepts[WIRE_ACCEPTS_MAX - 1], INT32_MAX);
	auth_identity_fini(&who);
	assert_int_equal(check_accepts(WIRE_ACCEPTS_MAX + 1), -ERR_REFUSED);
	assert_string_equal(who.refusal, "accepts has too many operations");
}

static void names_of_members_are_taken_in_any_case_and_once(void **state)
{
	(void)state;
	assert_int_equal(check("{\"Mid\":123,\"KEY\":\"k\",\"Room_Id\":\"r\",\"platForm\":\"p\",\"Accepts\":[7]}"), 0);
	assert_int_equal(who.dialect, DIALECT_V2);
	assert_int_equal(who.mid, 123);
	assert_string_equal(who.key, "k");
	assert_string_equal(who.room, "r");
	assert_string_equal(who.platform, "p");
	assert_int_equal(who.accepts[0], 7);
	auth_identity_fini(&who);
	is_refused("{\"mid\":1,\"Mid\":1}", "mid is there twice");
	is_refused("{\"KEY\":\"a\",\"Key\":\"b\"}", "key is there twice");
	is_refused("{\"Mid\":\"1\"}", "mid is not a whole number");
}

static void a_broken_object_is_refused(void **state)
{
	static const char words[] =
		"the token is no whole JSON object, or has a member twice, too large a number or too deep nesting";
	static const char *const tokens[] = {"{",
					     "  \t\r\n{",
					     "{\"mid\":123,}",
					     "{mid:123}",
					     "{'mid':123}",
					     "{\"mid\":123",
					     "{\"mid\":123}x",
					     "{\"mid\":123}{}",
					     "{\"mid\":9223372036854775808}",
					     "{\"mid\":-9223372036854775809}",
					     "{\"x\":9223372036854775808}",
					     "{\"mid\":1,\"mid\":2}",
					     "{\"data\":{}",
					     "{\"key\":\"\xff\"}"};
	static const char zero[] = "{\"mid\":123}";

	(void)state;
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		is_refused(tokens[i], words);
		assert_int_equal(who.cause, AUTH_MALFORMED);
	}
	assert_int_equal(check_bytes(zero, sizeof(zero)), -ERR_REFUSED); /* with the zero byte behind it */
	assert_string_equal(who.refusal, words);
	is_refused("\xef\xbb\xbf{\"mid\":123}", "the token begins with a byte order mark, which is no JSON");
	is_refused("\xef\xbb\xbf {", "the token begins with a byte order mark, which is no JSON");
}

/* ---- faults ---- */

static void no_memory_is_said_and_leaves_nothing(void **state)
{
	static const char *const tokens[] = {
		"123", "{\"Mid\":1,\"key\":\"k\",\"room_id\":\"r\",\"platform\":\"p\",\"accepts\":[1]}",
		"{\"user\":\"u\",\"key\":\"k\",\"room_id\":\"r\",\"platform\":\"p\",\"accepts\":[1]}"};

	(void)state;
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		unsigned failed = 0;

		/* The first allocation is the copy of the token. */
		for (unsigned after = 1;; after++) {
			int rc;

			seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
			rc = check(tokens[i]);
			if (seam_failed(SEAM_ALLOC) == failed) {
				assert_int_equal(rc, 0);
				auth_identity_fini(&who);
				break;
			}
			failed++;
			assert_int_equal(rc, -ENOMEM);
			assert_null(who.key);
		}
		assert_true(failed >= 2);
		seam_reset();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_number_is_a_user_of_version_1_in_room_1, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_neither_a_number_nor_a_token_is_user_0_of_version_1, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_number_and_a_room_are_a_user_of_version_1_in_that_room, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(names_of_members_are_taken_in_any_case_and_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_broken_object_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_zero_byte_ends_no_number, set_up, tear_down),
		cmocka_unit_test_setup_teardown(deep_nesting_is_no_token, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_whole_token_is_taken_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_user_may_have_a_name_where_the_token_has_no_number, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(any_single_field_makes_a_token_of_version_2, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_field_of_the_wrong_kind_is_refused_by_its_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(control_characters_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_in_any_script_are_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_longest_names_are_taken_and_longer_ones_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(so_many_operations_are_accepted_and_no_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_memory_is_said_and_leaves_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
