/* Tests of comet/close_reason. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/close_reason.h"
#include "common/base/counters.h"
#include "common/base/err.h"

static void every_reason_has_words_and_a_name_of_its_own(void **state)
{
	char body[256];

	(void)state;
	for (enum close_reason a = CLOSE_NONE; a < CLOSE_MAX; a++) {
		assert_true(strlen(close_reason_name(a)) > 0);
		(void)close_reason_body(a, NULL, body, sizeof(body));
		assert_null(strstr(body, "\"reason\":\"\""));
		for (enum close_reason b = CLOSE_NONE; b < a; b++)
			assert_string_not_equal(close_reason_name(a), close_reason_name(b));
	}
}

static void no_code_stands_for_two_reasons(void **state)
{
	(void)state;
	for (enum close_reason a = CLOSE_NONE; a < CLOSE_MAX; a++)
		for (enum close_reason b = CLOSE_NONE; b < a; b++)
			if (close_reason_code(a) != 0)
				assert_int_not_equal(close_reason_code(a), close_reason_code(b));
}

/* Clients compare these numbers: they are never to change. */
static void codes_are_those_that_clients_know(void **state)
{
	(void)state;
	assert_int_equal(close_reason_code(CLOSE_NONE), 0);
	assert_int_equal(close_reason_code(CLOSE_CLIENT_LEFT), 0);
	assert_int_equal(close_reason_code(CLOSE_KICKED), 1);
	assert_int_equal(close_reason_code(CLOSE_REPLACED), 2);
	assert_int_equal(close_reason_code(CLOSE_SLOW_CONSUMER), 3);
	assert_int_equal(close_reason_code(CLOSE_DRAINING), 4);
	assert_int_equal(close_reason_code(CLOSE_AUTH_REFUSED), 5);
	assert_int_equal(close_reason_code(CLOSE_NO_LOGIC), 6);
	assert_int_equal(close_reason_code(CLOSE_CONNECTIONS), 7);
	assert_int_equal(close_reason_code(CLOSE_PER_IP), 8);
	assert_int_equal(close_reason_code(CLOSE_HEARTBEAT_TIMEOUT), 9);
	assert_int_equal(close_reason_code(CLOSE_BAD_ROOM), 10);
	assert_int_equal(close_reason_code(CLOSE_NO_THREAD), 11);
	assert_int_equal(close_reason_code(CLOSE_NO_MEMORY), 12);
	assert_int_equal(close_reason_code(CLOSE_AUTH_EXPIRED), 13);
	assert_int_equal(close_reason_code(CLOSE_HANDSHAKES), 20);
	assert_int_equal(close_reason_code(CLOSE_CONNECTS), 21);
	assert_int_equal(close_reason_code(CLOSE_CONNECTS_PER_IP), 22);
	assert_int_equal(close_reason_code(CLOSE_ACCEPTS), 23);
}

static void leaving_is_normal_and_being_slow_is_an_error(void **state)
{
	(void)state;
	assert_false(close_reason_is_error(CLOSE_CLIENT_LEFT));
	assert_false(close_reason_is_error(CLOSE_KICKED));
	assert_true(close_reason_is_error(CLOSE_SLOW_CONSUMER));
	assert_true(close_reason_is_error(CLOSE_PACKET_LENGTH));
}

static void a_failed_read_tells_who_ended_it(void **state)
{
	static const struct {
		int rc;
		enum close_reason why;
	} cases[] = {
		{-ERR_EOF, CLOSE_CLIENT_LEFT},
		{-ERR_CUT, CLOSE_CLIENT_CUT},
		{-ECONNRESET, CLOSE_CLIENT_CUT},
		{-EPIPE, CLOSE_CLIENT_CUT},
		{-ETIMEDOUT, CLOSE_CLIENT_CUT},
		{-EHOSTUNREACH, CLOSE_CLIENT_CUT},
		{-ENETUNREACH, CLOSE_CLIENT_CUT},
		{-ERR_PACKET_LENGTH, CLOSE_PACKET_LENGTH},
		{-ERR_PACKET_BODY, CLOSE_PACKET_BODY},
		{-ERR_TOKEN, CLOSE_AUTH_REFUSED},
		{-ERR_PACKET_HEADER, CLOSE_PACKET_HEADER},
		{-ERR_PACKET_OP, CLOSE_PACKET_OP},
		{-EBADMSG, CLOSE_BAD_ROOM},
		{-ENOMEM, CLOSE_NO_MEMORY},
		{-EIO, CLOSE_READ_FAILED},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(close_reason_of_read(cases[i].rc), cases[i].why);
}

static void a_failed_write_tells_whether_time_or_memory_ran_out(void **state)
{
	(void)state;
	assert_int_equal(close_reason_of_write(-ETIMEDOUT), CLOSE_WRITE_TIMEOUT);
	assert_int_equal(close_reason_of_write(-ENOMEM), CLOSE_NO_MEMORY);
	assert_int_equal(close_reason_of_write(-ENOBUFS), CLOSE_NO_MEMORY);
	assert_int_equal(close_reason_of_write(-EPIPE), CLOSE_WRITE_FAILED);
}

static void a_failed_connect_tells_a_no_from_no_answer(void **state)
{
	(void)state;
	assert_int_equal(close_reason_of_connect(-ERR_REFUSED), CLOSE_AUTH_REFUSED);
	assert_int_equal(close_reason_of_connect(-ENOMEM), CLOSE_NO_MEMORY);
	assert_int_equal(close_reason_of_connect(-ERR_NO_LOGIC), CLOSE_NO_LOGIC);
	assert_int_equal(close_reason_of_connect(-EIO), CLOSE_NO_LOGIC);
}

static void the_body_holds_code_and_words(void **state)
{
	static const char wanted[] = "{\"code\":1,\"reason\":\"kicked\"}";
	char text[256];

	(void)state;
	assert_int_equal(close_reason_body(CLOSE_KICKED, NULL, text, sizeof(text)), sizeof(wanted) - 1);
	assert_string_equal(text, wanted);
	assert_int_equal(close_reason_body(CLOSE_KICKED, "", text, sizeof(text)), sizeof(wanted) - 1);
	assert_string_equal(text, wanted);
}

static void a_detail_takes_the_place_of_the_words(void **state)
{
	char text[256];

	(void)state;
	(void)close_reason_body(CLOSE_AUTH_REFUSED, "the token has expired", text, sizeof(text));
	assert_string_equal(text, "{\"code\":5,\"reason\":\"the token has expired\"}");
}

static void a_detail_cannot_break_out_of_its_string(void **state)
{
	char text[256];

	(void)state;
	(void)close_reason_body(CLOSE_AUTH_REFUSED, "a\"b\\c\nd", text, sizeof(text));
	assert_string_equal(text, "{\"code\":5,\"reason\":\"a\\\"b\\\\c\\u000ad\"}");
}

/* The detail is cut where the room ends, at each of its bytes in turn: in the middle of an escape, of a character. */
static void a_detail_of_any_length_leaves_whole_json(void **state)
{
	static const char *const endings[] = {"x",
					      "\"\"",
					      "\\\\",
					      "\n\n",
					      "\xc3\xa9\xc3\xa9",
					      "\xe2\x82\xac\xe2\x82\xac",
					      "\xf0\x9f\x98\x80\xf0\x9f\x98\x80"};
	char detail[300], text[256];

	(void)state;
	for (unsigned e = 0; e < sizeof(endings) / sizeof(endings[0]); e++)
		for (unsigned n = 150; n < 260; n++) {
			json_t *json;
			size_t bytes;

			memset(detail, 'a', n);
			(void)snprintf(detail + n, sizeof(detail) - n, "%s", endings[e]);
			bytes = close_reason_body(CLOSE_AUTH_REFUSED, detail, text, sizeof(text));
			assert_int_equal(bytes, strlen(text));
			json = json_loads(text, 0, NULL);
			assert_non_null(json);
			json_decref(json);
		}
}

/* Logic may send anything: a stray continuation byte behind an escape once left half of the escape at the cut. */
static void a_stray_byte_at_the_cut_takes_no_half_escape_along(void **state)
{
	char detail[300], text[256];

	(void)state;
	for (unsigned n = 180; n < 210; n++) {
		memset(detail, 'a', n);
		(void)snprintf(detail + n, sizeof(detail) - n, "\"\x80\x80\x80");
		(void)close_reason_body(CLOSE_AUTH_REFUSED, detail, text, sizeof(text));
		assert_string_equal(text + strlen(text) - 2, "\"}");
		/* The quote before the last one ends the string: it is not the rest of an escape. */
		assert_false(text[strlen(text) - 3] == '\\' && text[strlen(text) - 4] != '\\');
	}
}

static void a_body_longer_than_its_buffer_is_cut(void **state)
{
	char text[16];

	(void)state;
	assert_int_equal(close_reason_body(CLOSE_DRAINING, NULL, text, sizeof(text)), sizeof(text) - 1);
	assert_string_equal(text, "{\"code\":4,\"reas");
}

static void counters_by_reason_have_names(void **state)
{
	struct counters_text text = {0};

	(void)state;
	count_by(COUNT_CLOSED, CLOSE_SLOW_CONSUMER);
	counters_expose(&text);
	assert_false(text.failed);
	assert_non_null(strstr(text.text, "comet_closed_total{reason=\"slow_consumer\"} 1\n"));
	assert_non_null(strstr(text.text, "comet_refused_total{reason=\"draining\"} 0\n"));
	assert_null(strstr(text.text, "reason=\"none\""));
	free(text.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_words_and_a_name_of_its_own),
		cmocka_unit_test(no_code_stands_for_two_reasons),
		cmocka_unit_test(codes_are_those_that_clients_know),
		cmocka_unit_test(leaving_is_normal_and_being_slow_is_an_error),
		cmocka_unit_test(a_failed_read_tells_who_ended_it),
		cmocka_unit_test(a_failed_write_tells_whether_time_or_memory_ran_out),
		cmocka_unit_test(a_failed_connect_tells_a_no_from_no_answer),
		cmocka_unit_test(the_body_holds_code_and_words),
		cmocka_unit_test(a_detail_takes_the_place_of_the_words),
		cmocka_unit_test(a_detail_cannot_break_out_of_its_string),
		cmocka_unit_test(a_detail_of_any_length_leaves_whole_json),
		cmocka_unit_test(a_stray_byte_at_the_cut_takes_no_half_escape_along),
		cmocka_unit_test(a_body_longer_than_its_buffer_is_cut),
		cmocka_unit_test(counters_by_reason_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
