/* Tests of comet/transport/v1_json. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/v1_json.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"

#define MAX_BODY 64

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

/* From a buffer of exactly that size, so that the sanitizer sees a read beyond it. */
static int decode(const char *text, struct packet *p, char body[MAX_BODY + 1])
{
	size_t n = strlen(text);
	uint8_t *exact = malloc(n + (n == 0));
	int rc;

	memcpy(exact, text, n);
	rc = v1_json_decode(exact, n, MAX_BODY, p);
	if (rc == 0)
		(void)snprintf(body, MAX_BODY + 1, "%.*s", (int)p->body_bytes, (const char *)p->body);
	free(exact);
	return rc;
}

/* ---- reading ---- */

static void packet_of_a_client_is_read(void **state)
{
	char body[MAX_BODY + 1];
	struct packet p;

	(void)state;
	assert_int_equal(decode("{\"ver\":1,\"op\":7,\"seq\":3,\"body\":{\"mid\":1}}", &p, body), 0);
	assert_int_equal(p.ver, 1);
	assert_int_equal(p.op, 7);
	assert_int_equal(p.seq, 3);
	assert_string_equal(body, "{\"mid\":1}");
}

static void body_is_its_text_as_it_stands(void **state)
{
	static const char *const bodies[] = {"123", "\"123\"", "[1, 2]", "true", "-1.5e+3", "\"\\u00e9\\n\"", "{ }"};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		char text[128], body[MAX_BODY + 1];
		struct packet p;

		(void)snprintf(text, sizeof(text), " {\"op\":2 ,\"body\" : %s\n,\"seq\":-1,\"ver\":1} ", bodies[i]);
		assert_int_equal(decode(text, &p, body), 0);
		assert_string_equal(body, bodies[i]);
	}
}

static void body_may_be_missing_or_null(void **state)
{
	char body[MAX_BODY + 1];
	struct packet p;

	(void)state;
	assert_int_equal(decode("{\"ver\":1,\"op\":2,\"seq\":2}", &p, body), 0);
	assert_int_equal(p.body_bytes, 0);
	assert_int_equal(decode("{\"ver\":1,\"op\":2,\"seq\":2,\"body\":null}", &p, body), 0);
	assert_int_equal(p.body_bytes, 0);
}

static void other_members_are_skipped(void **state)
{
	char body[MAX_BODY + 1];
	struct packet p;

	(void)state;
	assert_int_equal(decode("{\"x\":{\"op\":[9,{}]},\"ver\":1,\"op\":2,\"seq\":2,\"bodyguard\":1}", &p, body), 0);
	assert_int_equal(p.op, 2);
	assert_int_equal(p.body_bytes, 0);
}

static void ver_and_seq_may_be_missing_or_null(void **state)
{
	static const char *const texts[] = {"{\"op\":2}", "{\"ver\":null,\"op\":2,\"seq\":null,\"body\":null}"};
	char body[MAX_BODY + 1];
	struct packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(decode(texts[i], &p, body), 0);
		assert_int_equal(p.op, 2);
		assert_int_equal(p.ver, 0);
		assert_int_equal(p.seq, 0);
		assert_int_equal(p.body_bytes, 0);
	}
	assert_int_equal(decode("{\"ver\":1,\"op\":null,\"seq\":1}", &p, body), -ERR_PACKET_JSON);
}

static void what_is_no_packet_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"{",
		"{}",
		"[]",
		"[{\"ver\":1,\"op\":2,\"seq\":2}]",
		"7",
		"{\"ver\":1,\"seq\":2}",
		"{\"ver\":1,\"op\":2,\"seq\":2}x",
		"{\"ver\":1,\"op\":2,\"seq\":2,}",
		"{\"ver\":1,\"op\":2,\"seq\":2,\"body\":}",
		"{\"ver\":1,\"op\":2,\"seq\":2,\"body\":{",
		"{\"ver\":1,\"op\":2,\"seq\":2,\"body\":\"\\x\"}",
		"{\"ver\":1,\"op\":2,\"seq\":2,\"body\":\"\\u12g4\"}",
		"{\"ver\":1,\"op\":2,\"seq\":2,\"body\":\"\n\"}",
		"{\"ver\":1,\"op\":2,\"seq\":2,\"body\":\"\xff\"}",
		"{\"ver\":1,\"op\":2,\"seq\":2,\"body\":01}",
		"{\"ver\":1,\"op\":2,\"seq\":2,\"body\":1.}",
		"{\"ver\":1,\"op\":2,\"seq\":2,\"body\":nul}",
		"{\"ver\":\"1\",\"op\":2,\"seq\":2}",
		"{\"ver\":1.0,\"op\":2,\"seq\":2}",
		"{\"ver\":32768,\"op\":2,\"seq\":2}",
		"{\"ver\":1,\"op\":2147483648,\"seq\":2}",
		"{\"ver\":1,\"op\":2,\"seq\":-2147483649}",
		"{\"ver\":1,\"op\":2,\"seq\":99999999999999999999999999}",
		"{\"ver\":1,\"op\":-,\"seq\":2}",
		"{ver:1,\"op\":2,\"seq\":2}",
	};
	char body[MAX_BODY + 1];
	struct packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (decode(texts[i], &p, body) != -ERR_PACKET_JSON)
			fail_msg("taken: %s", texts[i]);
}

static void every_cut_of_a_packet_is_refused(void **state)
{
	static const char text[] = "{\"ver\":1,\"op\":7,\"seq\":3,\"body\":{\"a\":[1,\"\\u00e9\xc3\xa9\",null]}}";
	char cut[sizeof(text)], body[MAX_BODY + 1];
	struct packet p;

	(void)state;
	assert_int_equal(decode(text, &p, body), 0);
	for (size_t n = 0; n + 1 < sizeof(text); n++) {
		(void)snprintf(cut, sizeof(cut), "%.*s", (int)n, text);
		assert_int_equal(decode(cut, &p, body), -ERR_PACKET_JSON);
	}
}

static void body_above_the_limit_is_refused_as_such(void **state)
{
	char text[256], body[MAX_BODY + 1];
	struct packet p;

	(void)state;
	(void)snprintf(text, sizeof(text), "{\"ver\":1,\"op\":7,\"seq\":3,\"body\":%0*d}", 0, 1);
	assert_int_equal(decode(text, &p, body), 0);
	(void)snprintf(text, sizeof(text), "{\"ver\":1,\"op\":7,\"seq\":3,\"body\":1%0*d}", MAX_BODY - 1, 0);
	assert_int_equal(decode(text, &p, body), 0);
	assert_int_equal(p.body_bytes, MAX_BODY);
	(void)snprintf(text, sizeof(text), "{\"ver\":1,\"op\":7,\"seq\":3,\"body\":1%0*d}", MAX_BODY, 0);
	assert_int_equal(decode(text, &p, body), -ERR_PACKET_BODY);
}

static void nesting_has_a_limit(void **state)
{
	char text[256];

	(void)state;
	(void)memset(text, '[', 128);
	(void)memset(text + 128, ']', 128);
	assert_true(v1_json_is_value((uint8_t *)text + 128 - 32, 64));
	assert_false(v1_json_is_value((uint8_t *)text + 128 - 33, 66));
	assert_false(v1_json_is_value((uint8_t *)text, 256));
}

/* ---- writing ---- */

static void assert_put(const char *body, size_t n, bool empty_is_object, const char *wanted)
{
	struct packet p = {.ver = 1, .op = 8, .seq = -2, .body = (uint8_t *)(uintptr_t)body, .body_bytes = (uint32_t)n};
	size_t max = v1_json_max_bytes(n);
	uint8_t *out = malloc(max);
	size_t bytes = v1_json_put(out, &p, empty_is_object);
	char text[512];

	assert_true(bytes <= max);
	(void)snprintf(text, sizeof(text), "%.*s", (int)bytes, (char *)out);
	free(out);
	assert_string_equal(text, wanted);
}

static void fields_stand_in_the_order_of_the_contract(void **state)
{
	(void)state;
	assert_put("", 0, true, "{\"ver\":1,\"op\":8,\"seq\":-2,\"body\":{}}");
}

static void json_goes_in_as_it_is(void **state)
{
	(void)state;
	assert_put("{\"a\": 1}", 8, false, "{\"ver\":1,\"op\":8,\"seq\":-2,\"body\":{\"a\": 1}}");
	assert_put("12", 2, false, "{\"ver\":1,\"op\":8,\"seq\":-2,\"body\":12}");
}

static void what_is_no_json_becomes_a_string(void **state)
{
	(void)state;
	assert_put("", 0, false, "{\"ver\":1,\"op\":8,\"seq\":-2,\"body\":\"\"}");
	assert_put("hi \"you\"\\\n", 10, false,
		   "{\"ver\":1,\"op\":8,\"seq\":-2,\"body\":\"hi \\\"you\\\"\\\\\\u000a\"}");
	assert_put("\xc3\xa9 \xff", 4, false, "{\"ver\":1,\"op\":8,\"seq\":-2,\"body\":\"\xc3\xa9 \xef\xbf\xbd\"}");
	assert_put("{\"a\":1", 6, false, "{\"ver\":1,\"op\":8,\"seq\":-2,\"body\":\"{\\\"a\\\":1\"}");
	assert_put("{\"a\":\"\xff\"}", 9, false,
		   "{\"ver\":1,\"op\":8,\"seq\":-2,\"body\":\"{\\\"a\\\":\\\"\xef\xbf\xbd\\\"}\"}");
}

static void cut_sequence_becomes_one_character(void **state)
{
	(void)state;
	assert_put("\xe2\x82 \xf0\x9f\x98", 6, false,
		   "{\"ver\":1,\"op\":8,\"seq\":-2,\"body\":\"\xef\xbf\xbd \xef\xbf\xbd\"}");
	assert_put("\xed\xa0\x80", 3, false,
		   "{\"ver\":1,\"op\":8,\"seq\":-2,\"body\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}");
}

static void longest_escapes_find_room(void **state)
{
	char body[200];
	struct packet p = {.ver = INT16_MIN,
			   .op = INT32_MIN,
			   .seq = INT32_MIN,
			   .body = (uint8_t *)body,
			   .body_bytes = sizeof(body)};
	size_t max = v1_json_max_bytes(sizeof(body));
	uint8_t *out = malloc(max);

	(void)state;
	(void)memset(body, 1, sizeof(body));
	assert_true(v1_json_put(out, &p, false) <= max);
	free(out);
}

static void message_is_encoded_once(void **state)
{
	const struct message_form *form;
	struct message *m;

	(void)state;
	assert_int_equal(message_new(1000, "{\"n\":1}", 7, &m), 0);
	form = v1_json_of_message(m);
	assert_non_null(form);
	assert_int_equal(form->bytes, strlen("{\"ver\":0,\"op\":5,\"seq\":0,\"body\":{\"n\":1}}"));
	assert_memory_equal(form->data, "{\"ver\":0,\"op\":5,\"seq\":0,\"body\":{\"n\":1}}", form->bytes);
	seam_fail(SEAM_ALLOC, 0, 9, 0);
	assert_ptr_equal(v1_json_of_message(m), form);
	message_unref(&m);
}

static void message_without_memory_has_no_form(void **state)
{
	struct message *m;

	(void)state;
	assert_int_equal(message_new(1000, "x", 1, &m), 0);
	seam_fail(SEAM_ALLOC, 0, 1, 0);
	assert_null(v1_json_of_message(m));
	assert_non_null(v1_json_of_message(m));
	message_unref(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(packet_of_a_client_is_read, tear_down),
		cmocka_unit_test_teardown(body_is_its_text_as_it_stands, tear_down),
		cmocka_unit_test_teardown(body_may_be_missing_or_null, tear_down),
		cmocka_unit_test_teardown(other_members_are_skipped, tear_down),
		cmocka_unit_test_teardown(ver_and_seq_may_be_missing_or_null, tear_down),
		cmocka_unit_test_teardown(what_is_no_packet_is_refused, tear_down),
		cmocka_unit_test_teardown(every_cut_of_a_packet_is_refused, tear_down),
		cmocka_unit_test_teardown(body_above_the_limit_is_refused_as_such, tear_down),
		cmocka_unit_test_teardown(nesting_has_a_limit, tear_down),
		cmocka_unit_test_teardown(fields_stand_in_the_order_of_the_contract, tear_down),
		cmocka_unit_test_teardown(json_goes_in_as_it_is, tear_down),
		cmocka_unit_test_teardown(what_is_no_json_becomes_a_string, tear_down),
		cmocka_unit_test_teardown(cut_sequence_becomes_one_character, tear_down),
		cmocka_unit_test_teardown(longest_escapes_find_room, tear_down),
		cmocka_unit_test_teardown(message_is_encoded_once, tear_down),
		cmocka_unit_test_teardown(message_without_memory_has_no_form, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
