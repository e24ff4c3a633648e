/* Tests of common/http/http_incoming and http_chunks: bodies by length and in chunks, in pieces of any size, with another request
 * behind them. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/http/http_incoming.h"
#include "tests/unit/seam.h"

static struct http_incoming in;

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	http_buffer_drop(&in.bytes);
	in = (struct http_incoming){0};
	return 0;
}

/* Hand over so many bytes at a time until the request is whole, or wrong. *text goes on behind what was handed over. */
static int read_some(const char **text, size_t step, size_t max_body, bool keep)
{
	int rc = -EAGAIN;

	for (;;) {
		size_t n = strlen(*text) < step ? strlen(*text) : step;

		if (!in.has_head && (rc = http_incoming_head(&in)) == 0)
			(void)http_incoming_want(&in, max_body, keep);
		if (in.has_head)
			rc = http_incoming_body(&in);
		if (rc != -EAGAIN || n == 0)
			return rc;
		assert_int_equal(http_buffer_reserve(&in.bytes, n), 0);
		memcpy(in.bytes.bytes + in.bytes.end, *text, n);
		in.bytes.end += n;
		*text += n;
	}
}

static void is_body(const char *body)
{
	assert_int_equal(in.body_bytes, strlen(body));
	assert_memory_equal(http_incoming_text(&in) + in.head.bytes, body, in.body_bytes);
}

#define POST    "POST / HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static void bodies_are_put_together_and_the_next_request_follows(void **state)
{
	static const struct {
		const char *text, *body;
	} cases[] = {
		{POST "Content-Length: 5\r\n\r\nhello", "hello"},
		{POST "\r\n", ""},
		{POST "Content-Length: 0\r\n\r\n", ""},
		{CHUNKED "0\r\n\r\n", ""},
		{CHUNKED "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", "abc0123456789"},
		{CHUNKED "00003\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", "abcd"},
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 200; step = step * 3 + 1) {
			const char *at = text;

			(void)snprintf(text, sizeof(text), "%s%s", cases[i].text, POST "Content-Length: 2\r\n\r\nhi");
			assert_int_equal(read_some(&at, step, 100, true), 0);
			is_body(cases[i].body);
			http_incoming_next(&in);
			assert_int_equal(read_some(&at, step, 100, true), 0);
			is_body("hi");
			http_incoming_next(&in);
			assert_int_equal(http_buffer_count(&in.bytes), 0);
		}
}

static void a_body_that_is_not_wanted_is_read_and_forgotten(void **state)
{
	static const char *const texts[] = {POST "Content-Length: 7\r\n\r\nabcdefgGET",
					    CHUNKED "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\nGET"};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (size_t step = 1; step < 100; step *= 5) {
			const char *at = texts[i];

			assert_int_equal(read_some(&at, step, 100, false), 0);
			is_body("");
			http_incoming_next(&in);
			tear_down(state);
			at = texts[i];
			assert_int_equal(read_some(&at, step, 6, true), HTTP_FAULT_BODY_TOO_LONG);
			assert_true(in.bytes.size <= 16384);
			tear_down(state);
		}
}

static void broken_chunks_are_refused(void **state)
{
	static const char *const bodies[] = {
		"x\r\n",        "\r\n",           " 1\r\na\r\n",    "1 \r\na\r\n",
		"-1\r\na\r\n",  "1\na\r\n",       "1\r\nab\r\n",    "1\r\na\n",
		"1\r\na\r\r\n", "0\r\n\n",        "0\r\n x: y\r\n", "0\r\nx: y\n",
		"1;\x01\r\na",  "0\r\n:\r\n\r\n", "0x1\r\na\r\n",   "1234567890123456\r\n"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		for (size_t step = 1; step < 200; step += 150) {
			const char *at = text;

			(void)snprintf(text, sizeof(text), CHUNKED "%s", bodies[i]);
			if (read_some(&at, step, 100, true) != HTTP_FAULT_CHUNK)
				fail_msg("%s", bodies[i]);
			tear_down(state);
		}
}

/* Lengths of one byte, trailers that nobody reads: no body grows, and so nothing else would end it. */
static void what_is_no_body_has_a_bound(void **state)
{
	static char text[40000];
	const char *at = text;

	(void)state;
	(void)snprintf(text, sizeof(text), CHUNKED "0\r\nX: ");
	memset(text + strlen(text), 'x', 30000);
	assert_int_equal(read_some(&at, 1000, 100, true), HTTP_FAULT_CHUNK);
	tear_down(state);
	/* But chunks of one byte are a body, too. */
	at = text;
	(void)snprintf(text, sizeof(text), CHUNKED);
	for (unsigned i = 0; i < 5000; i++)
		memcpy(text + strlen(CHUNKED) + 6 * i, "1\r\na\r\n", 7);
	memcpy(text + strlen(text), "0\r\n\r\n", 6);
	assert_int_equal(read_some(&at, 1000, 5000, true), 0);
	assert_int_equal(in.body_bytes, 5000);
}

static void who_waits_before_a_body_is_known(void **state)
{
	const char *at = POST "Content-Length: 2\r\n\r\n";

	(void)state;
	assert_int_equal(read_some(&at, 1000, 100, true), -EAGAIN);
	assert_true(http_incoming_lacks_body(&in));
	tear_down(state);
	at = CHUNKED;
	assert_int_equal(read_some(&at, 1000, 100, true), -EAGAIN);
	assert_true(http_incoming_lacks_body(&in));
	tear_down(state);
	at = POST "Content-Length: 2\r\n\r\nh";
	assert_int_equal(read_some(&at, 1000, 100, true), -EAGAIN);
	assert_false(http_incoming_lacks_body(&in));
}

static void a_buffer_grows_moves_and_fails(void **state)
{
	struct http_buffer b = {0};

	(void)state;
	assert_int_equal(http_buffer_reserve(&b, 10), 0);
	memset(b.bytes, 'a', 16000);
	b.end = 16000;
	http_buffer_take_off(&b, 15990);
	assert_int_equal(http_buffer_reserve(&b, 10000), 0);
	assert_int_equal(b.size, 16384); /* moved */
	assert_memory_equal(b.bytes + b.start, "aaaaaaaaaa", 10);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(http_buffer_reserve(&b, 20000), -ENOMEM);
	assert_int_equal(http_buffer_reserve(&b, 20000), 0);
	assert_memory_equal(b.bytes + b.start, "aaaaaaaaaa", 10);
	http_buffer_take_off(&b, 10);
	assert_int_equal(http_buffer_count(&b), 0);
	http_buffer_drop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(bodies_are_put_together_and_the_next_request_follows, tear_down),
		cmocka_unit_test_teardown(a_body_that_is_not_wanted_is_read_and_forgotten, tear_down),
		cmocka_unit_test_teardown(broken_chunks_are_refused, tear_down),
		cmocka_unit_test_teardown(what_is_no_body_has_a_bound, tear_down),
		cmocka_unit_test_teardown(who_waits_before_a_body_is_known, tear_down),
		cmocka_unit_test_teardown(a_buffer_grows_moves_and_fails, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
