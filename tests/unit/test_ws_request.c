/* Tests of comet/transport/ws_request and ws_answer. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/ws_answer.h"
#include "comet/transport/ws_request.h"
#include "tests/unit/seam.h"

#define LINE "GET /sub HTTP/1.1\r\n"
#define KEY  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define REST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" KEY
#define GOOD LINE "Host: x\r\n" REST "\r\n"

/* From a buffer of exactly that size, so that the sanitizer sees a read beyond it. */
static int look(struct ws_request *r, const char *text, size_t n)
{
	char *exact = malloc(n + (n == 0));
	int rc;

	memcpy(exact, text, n);
	rc = ws_request_read(r, exact, n);
	free(exact);
	return rc;
}

/* All at once, then a byte at a time: the same comes out, and not before the last byte unless it is a fault. */
static void assert_reads(const char *text, int wanted)
{
	struct ws_request r = {0}, slow = {0};
	size_t n = strlen(text), at = 0;
	int rc = -EAGAIN;

	assert_int_equal(look(&r, text, n), wanted);
	while (rc == -EAGAIN && at < n)
		rc = look(&slow, text, ++at);
	assert_int_equal(rc, wanted);
	if (wanted == WS_FAULT_NONE) {
		assert_int_equal(at, n);
		assert_int_equal(r.bytes, n);
	}
}

static void an_upgrade_is_read_whatever_else_it_says(void **state)
{
	static const char *const lines[] = {
		"GET /sub HTTP/1.1\r\n",
		"GET /sub? HTTP/1.1\r\n",
		"GET /sub?a=b&c=%20/x:// HTTP/1.1\r\n",
		"GET http://comet.test/sub HTTP/1.1\r\n",
		"GET wss://comet.test:3103/sub?x HTTP/1.1\r\n",
	};
	static const char *const more[] = {
		"",
		"Sec-WebSocket-Protocol: chat, mqtt\r\n",
		"Sec-WebSocket-Extensions: permessage-deflate\r\n",
		"X-Empty:\r\nCookie: \xc3\xa9\t=\xff\r\n",
		"sEC-wEBsOCKET-x: y\r\n",
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		for (size_t k = 0; k < sizeof(more) / sizeof(more[0]); k++) {
			(void)snprintf(text, sizeof(text), "%sHost: x\r\n%s" REST "\r\n", lines[i], more[k]);
			assert_reads(text, WS_FAULT_NONE);
		}
	assert_reads(LINE "hOST:\tx  \r\nupgrade: h2c,\tWebSocket\r\nConnection: keep-alive , upgrade\r\n"
			  "sec-websocket-version:13\r\n" KEY "\r\n",
		     WS_FAULT_NONE);
	/* Lists may stand in several lines. */
	assert_reads(LINE "Host: x\r\nUpgrade: a\r\nConnection: keep-alive\r\n" REST "\r\n", WS_FAULT_NONE);
}

static void each_fault_is_told_from_the_others(void **state)
{
	static const struct {
		enum ws_fault fault;
		const char *text;
	} cases[] = {
		{WS_FAULT_METHOD, "POST /sub HTTP/1.1\r\nHost: x\r\n" REST "\r\n"},
		{WS_FAULT_METHOD, "OPTIONS / HTTP/1.0\r\n\r\n"},
		{WS_FAULT_METHOD, "HEAD /sub HTTP/1.1\r\nHost: x\r\n" REST "\r\n"},
		{WS_FAULT_PATH, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{WS_FAULT_PATH, "GET /sub/x HTTP/1.1\r\nHost: x\r\n" REST "\r\n"},
		{WS_FAULT_PATH, "GET /sub/../x HTTP/1.1\r\nHost: x\r\n" REST "\r\n"},
		{WS_FAULT_PATH, "GET /%73ub HTTP/1.1\r\nHost: x\r\n" REST "\r\n"},
		{WS_FAULT_PATH, "GET http://comet.test HTTP/1.1\r\nHost: x\r\n" REST "\r\n"},
		{WS_FAULT_PATH, "GET ://x/sub HTTP/1.1\r\nHost: x\r\n" REST "\r\n"},
		{WS_FAULT_NO_UPGRADE, LINE "Host: x\r\n\r\n"},
		{WS_FAULT_NO_UPGRADE, "GET /sub HTTP/1.0\r\n\r\n"},
		{WS_FAULT_NO_UPGRADE, "HEAD /sub HTTP/1.1\r\nHost: x\r\n\r\n"},
		{WS_FAULT_HTTP_VERSION, "GET /sub HTTP/1.0\r\nHost: x\r\n" REST "\r\n"},
		{WS_FAULT_HTTP_VERSION, "GET /sub HTTP/2.0\r\nHost: x\r\n" REST "\r\n"},
		{WS_FAULT_UPGRADE, LINE "Host: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"},
		{WS_FAULT_UPGRADE, LINE "Host: x\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY "\r\n"},
		{WS_FAULT_HOST, LINE REST "\r\n"},
		{WS_FAULT_HOST, LINE "Host: x\r\nHost: x\r\n" REST "\r\n"},
		{WS_FAULT_ORIGINS, LINE "Host: x\r\nOrigin: null\r\nOrigin: null\r\n" REST "\r\n"},
		{WS_FAULT_ORIGINS, LINE "Host: x\r\nOrigin:\r\norigin: https://a.test\r\n" REST "\r\n"},
		{WS_FAULT_VERSION, LINE "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" KEY "\r\n"},
		{WS_FAULT_VERSION, LINE "Host: x\r\n" REST "Sec-WebSocket-Version: 12\r\n\r\n"},
		{WS_FAULT_KEY, LINE "Host: x\r\n" REST KEY "\r\n"},
		{WS_FAULT_KEY,
		 LINE "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n\r\n"},
		{WS_FAULT_KEY,
		 LINE "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n\r\n"},
		{WS_FAULT_BROKEN, "\r\n" GOOD},
		{WS_FAULT_BROKEN, "\x16\x03\x01"},
		{WS_FAULT_METHOD, "PRI * HTTP/2.0\r\n\r\n"},
		{WS_FAULT_BROKEN, "GET /sub\r\n"},
		{WS_FAULT_BROKEN, "GET  /sub HTTP/1.1\r\n"},
		{WS_FAULT_BROKEN, "GET /s\x01ub HTTP/1.1\r\n"},
		{WS_FAULT_BROKEN, "GET /sub HTTP/1.1 \r\n"},
		{WS_FAULT_BROKEN, "GET /sub HTTP/1.1\n"},
		{WS_FAULT_BROKEN, LINE "Host: x\n"},
		{WS_FAULT_BROKEN, LINE "Host : x\r\n"},
		{WS_FAULT_BROKEN, LINE "Host: x\r\n y: z\r\n"},
		{WS_FAULT_BROKEN, LINE ": x\r\n"},
		{WS_FAULT_BROKEN, LINE "no colon\r\n"},
		{WS_FAULT_BROKEN, LINE "X: a\rb\r\n"},
		{WS_FAULT_BROKEN, LINE "X: \x7f\r\n"},
		{WS_FAULT_BROKEN, LINE "\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_reads(cases[i].text, (int)cases[i].fault);
}

static void a_zero_byte_ends_nothing(void **state)
{
	static const char text[] = LINE "Ho\0st: x\r\n", value[] = LINE "Host: \0\r\n", line[] = "G\0T /sub";
	struct ws_request r = {0};

	(void)state;
	assert_int_equal(look(&r, text, sizeof(text) - 1), WS_FAULT_BROKEN);
	r = (struct ws_request){0};
	assert_int_equal(look(&r, value, sizeof(value) - 1), WS_FAULT_BROKEN);
	r = (struct ws_request){0};
	assert_int_equal(look(&r, line, sizeof(line) - 1), WS_FAULT_BROKEN);
}

/* A request with so many bytes in all, and frames behind it. */
static int read_long(size_t bytes)
{
	static const char head[] = LINE "Host: x\r\n" REST "Cookie: ";
	static char text[WS_REQUEST_BYTES + 100];
	struct ws_request r = {0};

	memset(text, 'c', sizeof(text));
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + bytes - 4, "\r\n\r\n", 4);
	return look(&r, text, sizeof(text));
}

static void a_request_has_up_to_16_kib(void **state)
{
	static char text[WS_REQUEST_BYTES];
	struct ws_request r = {0};

	(void)state;
	assert_int_equal(read_long(4000), WS_FAULT_NONE);
	assert_int_equal(read_long(WS_REQUEST_BYTES), WS_FAULT_NONE);
	assert_int_equal(read_long(WS_REQUEST_BYTES + 1), WS_FAULT_TOO_LONG);
	memset(text, 'G', sizeof(text));
	assert_int_equal(look(&r, text, sizeof(text) - 1), -EAGAIN);
	assert_int_equal(look(&r, text, sizeof(text)), WS_FAULT_TOO_LONG);
}

static void it_says_where_key_host_and_origin_are(void **state)
{
	static const char text[] = LINE "Host: x.test\r\nOrigin:  https://a.test \r\n" REST "\r\n\x82\x80";
	struct ws_request r = {0};

	(void)state;
	assert_int_equal(look(&r, text, sizeof(text) - 1), WS_FAULT_NONE);
	assert_int_equal(r.bytes, sizeof(text) - 3);
	assert_memory_equal(text + r.key, "dGhlIHNhbXBsZSBub25jZQ==", WS_KEY_BYTES);
	assert_int_equal(r.host_bytes, strlen("x.test"));
	assert_memory_equal(text + r.host, "x.test", r.host_bytes);
	assert_int_equal(r.origin_bytes, strlen("https://a.test"));
	assert_memory_equal(text + r.origin, "https://a.test", r.origin_bytes);
}

static bool is_probe(const char *text)
{
	struct ws_request r = {0};

	(void)look(&r, text, strlen(text));
	return ws_request_is_probe(&r);
}

static void who_asks_for_no_upgrade_only_looks_whether_somebody_is_there(void **state)
{
	(void)state;
	assert_true(is_probe("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_true(is_probe("GET /sub HTTP/1.0\r\n\r\n"));
	assert_true(is_probe("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_false(is_probe("GET / HTTP/1.1\r\nHost: x\r\n" REST "\r\n"));
	assert_false(is_probe("POST / HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_false(is_probe("\x16\x03\x01"));
	assert_false(is_probe(GOOD));
}

/* ---- answers ---- */

/* RFC 6455, section 1.3. */
static void the_key_is_answered_as_the_standard_has_it(void **state)
{
	const struct ws_offer none = {.server_bits = 10};
	char text[WS_ANSWER_BYTES + 1];
	size_t n = ws_answer_welcome(text, "dGhlIHNhbXBsZSBub25jZQ==", &none);

	(void)state;
	assert_int_equal(n, strlen(text));
	assert_string_equal(text, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
}

/* Read from the request, and told in the answer. */
static void an_offer_is_answered_with_what_will_be(void **state)
{
	static const struct {
		const char *lines, *answer;
	} cases[] = {
		{"Sec-WebSocket-Extensions: permessage-deflate\r\n", ""},
		{"sec-websocket-extensions:permessage-deflate; client_max_window_bits=9; "
		 "server_no_context_takeover\r\n",
		 ""},
		{"Sec-WebSocket-Extensions: foo, permessage-deflate; server_max_window_bits=15\r\n",
		 "; server_max_window_bits=15"},
		{"Sec-WebSocket-Extensions: foo\r\nX-Y: permessage-deflate\r\n"
		 "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n",
		 "; server_max_window_bits=9"},
		{"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8\r\n", NULL},
		{"Sec-WebSocket-Extension: permessage-deflate\r\n", NULL},
	};
	char text[1024], wanted[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ws_request r = {0};
		size_t n;

		(void)snprintf(text, sizeof(text), LINE "Host: x\r\n%s" REST "\r\n", cases[i].lines);
		assert_int_equal(look(&r, text, strlen(text)), WS_FAULT_NONE);
		assert_int_equal(r.offer.taken, cases[i].answer != NULL);
		(void)snprintf(wanted, sizeof(wanted),
			       "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
			       "client_no_context_takeover%s\r\n\r\n",
			       cases[i].answer != NULL ? cases[i].answer : "");
		n = ws_answer_welcome(text, "dGhlIHNhbXBsZSBub25jZQ==", &r.offer);
		assert_int_equal(n, strlen(text));
		assert_true(n < WS_ANSWER_BYTES);
		assert_int_equal(strstr(text, wanted) != NULL, cases[i].answer != NULL);
	}
}

static void each_fault_is_answered_with_its_status_and_a_line(void **state)
{
	char text[WS_ANSWER_BYTES + 1], wanted[16];

	(void)state;
	for (enum ws_fault fault = WS_FAULT_NONE + 1; fault < WS_FAULTS; fault++) {
		size_t n = ws_answer_refuse(text, fault, false);
		const char *body = strstr(text, "\r\n\r\n") + 4, *length = strstr(text, "Content-Length: ");

		(void)snprintf(wanted, sizeof(wanted), "HTTP/1.1 %d ", ws_answer_status(fault));
		assert_int_equal(n, strlen(text));
		assert_true(n < WS_ANSWER_BYTES);
		assert_memory_equal(text, wanted, strlen(wanted));
		assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body));
		assert_memory_equal(body, ws_answer_words(fault), strlen(body) - 1);
		assert_int_equal(body[strlen(body) - 1], '\n');
		assert_int_equal(strstr(text, "Sec-WebSocket-Version: 13\r\n") != NULL, ws_answer_status(fault) == 426);
		n -= strlen(body);
		assert_int_equal(ws_answer_refuse(text, fault, true), n);
	}
}

static void who_is_full_says_so_in_json_and_cuts_it_to_fit(void **state)
{
	char text[WS_ANSWER_BYTES], little[64];
	size_t n = ws_answer_full(text, sizeof(text), "{\"code\":7}", 10);

	(void)state;
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	assert_memory_equal(text + n - 10, "{\"code\":7}", 10);
	assert_non_null(strstr(text, "Content-Length: 10\r\n"));
	assert_int_equal(ws_answer_full(little, sizeof(little), "{}", 2), sizeof(little) - 1);
}

/* ---- what a back end hears ---- */

static void gathers(const char *text, const char *names, const char *query, const char *headers)
{
	struct ws_request r = {0};
	struct upgrade u;

	assert_int_equal(look(&r, text, strlen(text)), WS_FAULT_NONE);
	assert_int_equal(ws_request_gather(&r, text, names, &u), WS_FAULT_NONE);
	assert_int_equal(u.query_bytes, strlen(query));
	assert_memory_equal(u.query_bytes > 0 ? u.query : "", query, strlen(query));
	assert_int_equal(u.headers_bytes, strlen(headers));
	assert_memory_equal(u.headers_bytes > 0 ? u.headers : "", headers, strlen(headers));
	upgrade_drop(&u);
	assert_null(u.owned);
}

static void the_query_and_the_headers_that_are_named_are_gathered(void **state)
{
	(void)state;
	gathers(GOOD, "Cookie", "", "");
	gathers(GOOD, "", "", "");
	gathers("GET /sub? HTTP/1.1\r\nHost: x\r\n" REST "\r\n", "Cookie", "", "");
	gathers("GET /sub?a=b&c=%20?d HTTP/1.1\r\nHost: x\r\n" REST "\r\n", "", "a=b&c=%20?d", "");
	gathers("GET http://h:1/sub?q HTTP/1.1\r\nHost: x\r\ncookie:  a=b; c \t\r\nX: 1\r\n" REST
		"X-APP: one\r\nx-app:\r\nX-Apps: no\r\n\r\n",
		"Cookie, X-App", "q", "Cookie: a=b; c\nX-App: one\nX-App: \n");
}

static void more_than_8_kib_for_a_back_end_are_refused(void **state)
{
	for (size_t n = 8180; n < 8200; n++) {
		static char text[16384];
		struct ws_request r = {0};
		struct upgrade u;
		int rc;

		(void)snprintf(text, sizeof(text), LINE "Host: x\r\n" REST "A: %0*d\r\n\r\n", (int)n, 0);
		assert_int_equal(look(&r, text, strlen(text)), WS_FAULT_NONE);
		rc = ws_request_gather(&r, text, "A", &u);
		assert_int_equal(rc, n + 4 <= UPGRADE_BYTES ? WS_FAULT_NONE : WS_FAULT_UPGRADE_TOO_LONG);
		upgrade_drop(&u);
	}
	(void)state;
}

static void without_memory_nothing_is_gathered(void **state)
{
	static const char text[] = "GET /sub?a=b HTTP/1.1\r\nHost: x\r\n" REST "\r\n";
	struct ws_request r = {0};
	struct upgrade u;

	(void)state;
	assert_int_equal(ws_request_read(&r, text, strlen(text)), WS_FAULT_NONE);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(ws_request_gather(&r, text, "", &u), -ENOMEM);
	assert_null(u.owned);
	seam_reset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_upgrade_is_read_whatever_else_it_says),
		cmocka_unit_test(each_fault_is_told_from_the_others),
		cmocka_unit_test(a_zero_byte_ends_nothing),
		cmocka_unit_test(a_request_has_up_to_16_kib),
		cmocka_unit_test(it_says_where_key_host_and_origin_are),
		cmocka_unit_test(who_asks_for_no_upgrade_only_looks_whether_somebody_is_there),
		cmocka_unit_test(the_key_is_answered_as_the_standard_has_it),
		cmocka_unit_test(an_offer_is_answered_with_what_will_be),
		cmocka_unit_test(each_fault_is_answered_with_its_status_and_a_line),
		cmocka_unit_test(the_query_and_the_headers_that_are_named_are_gathered),
		cmocka_unit_test(more_than_8_kib_for_a_back_end_are_refused),
		cmocka_unit_test(without_memory_nothing_is_gathered),
		cmocka_unit_test(who_is_full_says_so_in_json_and_cuts_it_to_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
