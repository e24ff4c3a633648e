/* Tests of logic/auth_question. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "logic/auth_question.h"
#include "tests/unit/seam.h"

static struct auth_request request_of(const char *token)
{
	return (struct auth_request){
		.token = (const uint8_t *)token, .token_bytes = strlen(token), .peer = "10.0.0.9", .server = "comet-1"};
}

static void asks(const struct auth_request *request, const char *wanted)
{
	size_t bytes;
	char *text = auth_question(request, &bytes);

	assert_non_null(text);
	assert_string_equal(text, wanted);
	assert_int_equal(bytes, strlen(wanted));
	free(text);
}

static void a_token_is_asked_about(void **state)
{
	struct auth_request request = request_of("t");

	(void)state;
	asks(&request, "{\"peer\":\"10.0.0.9\",\"server\":\"comet-1\",\"token\":\"t\"}");
	request.seat = &(struct seat){.key = "k", .user.mid = 7};
	asks(&request, "{\"peer\":\"10.0.0.9\",\"server\":\"comet-1\",\"token\":\"t\",\"key\":\"k\",\"mid\":7}");
	request.seat = &(struct seat){.key = "k", .user.name = "Ann"};
	asks(&request, "{\"peer\":\"10.0.0.9\",\"server\":\"comet-1\",\"token\":\"t\",\"key\":\"k\",\"mid\":0,"
		       "\"user\":\"Ann\"}");
}

static void headers_that_come_again_stand_in_one(void **state)
{
	static const char headers[] = "Cookie: a=b\nX: 1\nCookie: c=d\nX: 2: 3\nEmpty: \nBad: \xff\n";
	struct auth_request request = request_of("t");

	(void)state;
	request.upgrade = (struct upgrade){
		.query = "q=1", .query_bytes = 3, .headers = headers, .headers_bytes = sizeof(headers) - 1};
	asks(&request, "{\"peer\":\"10.0.0.9\",\"server\":\"comet-1\",\"token\":\"t\",\"query\":\"q=1\",\"headers\":{"
		       "\"Cookie\":\"a=b; c=d\",\"X\":\"1, 2: 3\",\"Empty\":\"\",\"Bad64\":\"/w==\"}}");
}

/* They come from another program. */
static void lines_that_are_none_are_left_out(void **state)
{
	static const char headers[] = "none\n: empty\nX: y\nhalf: z";
	struct auth_request request = request_of("t");

	(void)state;
	request.upgrade = (struct upgrade){.headers = headers, .headers_bytes = sizeof(headers) - 1};
	asks(&request, "{\"peer\":\"10.0.0.9\",\"server\":\"comet-1\",\"token\":\"t\",\"headers\":{\"\":\"empty\","
		       "\"X\":\"y\"}}");
}

static void without_memory_there_is_no_question(void **state)
{
	static const char headers[] = "Cookie: a=b\nCookie: c=d\n";
	struct auth_request request = request_of("t");

	(void)state;
	request.upgrade = (struct upgrade){
		.query = "q", .query_bytes = 1, .headers = headers, .headers_bytes = sizeof(headers) - 1};
	for (unsigned after = 0;; after++) {
		size_t bytes;
		char *text;

		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		text = auth_question(&request, &bytes);
		if (seam_failed(SEAM_ALLOC) == 0) {
			assert_non_null(text);
			free(text);
			break;
		}
		assert_null(text);
	}
	seam_reset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_asked_about),
		cmocka_unit_test(headers_that_come_again_stand_in_one),
		cmocka_unit_test(lines_that_are_none_are_left_out),
		cmocka_unit_test(without_memory_there_is_no_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
