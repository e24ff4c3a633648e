/* Tests of common/http/http_head: what a head says, and what is none. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http/http_head.h"

static struct http_head head;
static char *text;

/* All of it at once, and byte by byte: both come to the same. */
static int read_bytes(const char *bytes, size_t n)
{
	struct http_head slow = {0};
	char *drip = malloc(n + 1);
	int rc, slow_rc = -EAGAIN;

	free(text);
	text = malloc(n + 1);
	memcpy(text, bytes, n);
	memcpy(drip, bytes, n);
	head = (struct http_head){0};
	rc = http_head_read(&head, text, n);
	for (size_t i = 1; i <= n && slow_rc == -EAGAIN; i++)
		slow_rc = http_head_read(&slow, drip, i);
	free(drip);
	assert_int_equal(rc, slow_rc);
	if (rc == HTTP_FAULT_NONE)
		assert_memory_equal(&head, &slow, sizeof(head));
	return rc;
}

static int read_text(const char *bytes)
{
	return read_bytes(bytes, strlen(bytes));
}

static int tear_down(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	return 0;
}

static void a_head_says_what_it_says(void **state)
{
	(void)state;
	assert_int_equal(
		read_text("POST /a%20b?x=1 HTTP/1.1\r\nHost: h:1\r\nX-API-key:  k \r\nauthorization: Bearer t\r\n"
			  "Accept: text/html\r\nOrigin: http://o\r\nSec-Fetch-Site: cross-site\r\n"
			  "Content-Type: application/json\r\nContent-Length: 12\r\nX-Other:\r\n\r\nbody"),
		HTTP_FAULT_NONE);
	assert_string_equal(text + head.method, "POST");
	assert_string_equal(text + head.target, "/a%20b?x=1");
	assert_string_equal(text + head.host, "h:1");
	assert_string_equal(text + head.api_key, "k");
	assert_string_equal(text + head.authorization, "Bearer t");
	assert_string_equal(text + head.accept, "text/html");
	assert_string_equal(text + head.origin, "http://o");
	assert_string_equal(text + head.site, "cross-site");
	assert_string_equal(text + head.content_type, "application/json");
	assert_int_equal(head.length, 12);
	assert_memory_equal(text + head.bytes, "body", 4);
	assert_true(http_head_keeps(&head));
}

static void a_url_is_a_path_and_its_host_counts(void **state)
{
	static const struct {
		const char *target, *path, *host;
	} cases[] = {
		{"http://a/b?c", "/b?c", "a"},
		{"HTTP://a:80/", "/", "a:80"},
		{"https://[::1]:3111/x", "/x", "[::1]:3111"},
		{"http://a", "/", "a"},
		{"http://a?b=c", "/?b=c", "a"},
		{"/x://y", "/x://y", "header"},
	};
	char bytes[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(bytes, sizeof(bytes), "GET %s HTTP/1.1\r\nHost: header\r\n\r\n", cases[i].target);
		assert_int_equal(read_text(bytes), HTTP_FAULT_NONE);
		assert_string_equal(text + head.target, cases[i].path);
		assert_string_equal(text + head.host, cases[i].host);
	}
	assert_int_equal(read_text("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_FAULT_NONE);
	assert_string_equal(text + head.target, "*");
}

static void a_connection_stays_or_not(void **state)
{
	static const struct {
		const char *bytes;
		bool stays;
	} cases[] = {
		{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
		{"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nHost: h\r\nConnection: x , CLOSE\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", true},
		{"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false},
		{"GET / HTTP/1.0\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
		{"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_text(cases[i].bytes), HTTP_FAULT_NONE);
		assert_int_equal(http_head_keeps(&head), cases[i].stays);
	}
}

#define GET "GET / HTTP/1.1\r\nHost: h\r\n"

static void what_could_be_read_in_two_ways_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		enum http_fault fault;
	} cases[] = {
		{"GET / HTTP/1.1\nHost: h\n\n", HTTP_FAULT_BROKEN},
		{"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", HTTP_FAULT_BROKEN},
		{GET "X: y\r\n z\r\n\r\n", HTTP_FAULT_BROKEN},
		{GET "X : y\r\n\r\n", HTTP_FAULT_BROKEN},
		{GET " X: y\r\n\r\n", HTTP_FAULT_BROKEN},
		{GET "X\r\n\r\n", HTTP_FAULT_BROKEN},
		{GET ": y\r\n\r\n", HTTP_FAULT_BROKEN},
		{GET "X: a\rb\r\n\r\n", HTTP_FAULT_BROKEN},
		{GET "X: a\x7f\r\n\r\n", HTTP_FAULT_BROKEN},
		{"\r\n\r\nGET / HTTP/1.1\r\n", HTTP_FAULT_BROKEN},
		{"GET  / HTTP/1.1\r\n", HTTP_FAULT_BROKEN},
		{"GET / HTTP/1.1 \r\n", HTTP_FAULT_BROKEN},
		{"GET /\r\n", HTTP_FAULT_BROKEN},
		{"G\x01T / HTTP/1.1\r\n", HTTP_FAULT_BROKEN},
		{"GET /\x01 HTTP/1.1\r\n", HTTP_FAULT_BROKEN},
		{"GET / http/1.1\r\n", HTTP_FAULT_BROKEN},
		{"\x16\x03\x01\x02", HTTP_FAULT_BROKEN},
		{"GET / HTTP/2.0\r\n", HTTP_FAULT_VERSION},
		{"GET / HTTP/1.2\r\n", HTTP_FAULT_VERSION},
		{"GET x HTTP/1.1\r\n", HTTP_FAULT_TARGET},
		{"GET * HTTP/1.1\r\n", HTTP_FAULT_TARGET},
		{"CONNECT h:80 HTTP/1.1\r\n", HTTP_FAULT_TARGET},
		{"GET ftp://h/ HTTP/1.1\r\n", HTTP_FAULT_TARGET},
		{"GET http:///x HTTP/1.1\r\n", HTTP_FAULT_TARGET},
		{"GET http://u@h/x HTTP/1.1\r\n", HTTP_FAULT_TARGET},
		{"GET / HTTP/1.1\r\n\r\n", HTTP_FAULT_HOST},
		{GET "Host: h\r\n\r\n", HTTP_FAULT_HOST},
		{"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n", HTTP_FAULT_HOST},
		{GET "Content-Length: 5\r\nContent-Length: 5\r\n", HTTP_FAULT_TWO_LENGTHS},
		{GET "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", HTTP_FAULT_TWO_LENGTHS},
		{GET "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", HTTP_FAULT_TWO_LENGTHS},
		{GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", HTTP_FAULT_TWO_LENGTHS},
		{GET "Content-Length: 5, 5\r\n", HTTP_FAULT_LENGTH},
		{GET "Content-Length: -1\r\n", HTTP_FAULT_LENGTH},
		{GET "Content-Length: +1\r\n", HTTP_FAULT_LENGTH},
		{GET "Content-Length: 0x1\r\n", HTTP_FAULT_LENGTH},
		{GET "Content-Length: 1 1\r\n", HTTP_FAULT_LENGTH},
		{GET "Content-Length:\r\n", HTTP_FAULT_LENGTH},
		{GET "Content-Length: 18446744073709551616\r\n", HTTP_FAULT_BODY_TOO_LONG},
		{GET "Transfer-Encoding: gzip, chunked\r\n", HTTP_FAULT_ENCODING},
		{GET "Transfer-Encoding: identity\r\n", HTTP_FAULT_ENCODING},
		{GET "Transfer-Encoding: xchunked\r\n", HTTP_FAULT_ENCODING},
		{"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", HTTP_FAULT_BROKEN},
		{GET "Content-Encoding: gzip\r\n\r\n", HTTP_FAULT_COMPRESSED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (read_text(cases[i].bytes) != (int)cases[i].fault)
			fail_msg("%s", cases[i].bytes);
	assert_int_equal(read_bytes(GET "X: a\0b\r\n\r\n", sizeof(GET "X: a\0b\r\n\r\n") - 1), HTTP_FAULT_BROKEN);
	assert_int_equal(read_bytes("GET /\0 HTTP/1.1\r\n", 17), HTTP_FAULT_BROKEN);
}

static void half_a_head_is_waited_for(void **state)
{
	static const char whole[] = GET "X: y\r\n\r\n";

	(void)state;
	for (size_t n = 0; n + 1 < sizeof(whole); n++)
		assert_int_equal(n > 0 ? read_bytes(whole, n) : -EAGAIN, -EAGAIN);
	assert_int_equal(read_text(whole), HTTP_FAULT_NONE);
}

/* Without the drip, which would look at each byte of a mebibyte. */
static int read_long(size_t target_bytes, size_t header_bytes)
{
	const size_t room = target_bytes + header_bytes + 100;
	char *bytes = malloc(room);
	size_t n = 0;
	int rc;

	n += (size_t)snprintf(bytes, room, "GET /");
	memset(bytes + n, 'a', target_bytes);
	n += target_bytes;
	n += (size_t)snprintf(bytes + n, room - n, " HTTP/1.1\r\nHost: h\r\nX: ");
	memset(bytes + n, 'b', header_bytes);
	n += header_bytes;
	n += (size_t)snprintf(bytes + n, room - n, "\r\n\r\n");
	head = (struct http_head){0};
	rc = http_head_read(&head, bytes, n);
	free(bytes);
	return rc;
}

static void both_parts_have_a_bound(void **state)
{
	(void)state;
	assert_int_equal(read_long(HTTP_FIRST_LINE_BYTES - 16, 10), HTTP_FAULT_NONE);
	assert_int_equal(read_long(HTTP_FIRST_LINE_BYTES - 15, 10), HTTP_FAULT_TARGET_TOO_LONG);
	assert_int_equal(read_long(10, HTTP_HEADERS_BYTES - 16), HTTP_FAULT_NONE);
	assert_int_equal(read_long(10, HTTP_HEADERS_BYTES - 15), HTTP_FAULT_HEAD_TOO_LONG);
}

static void every_fault_has_a_status_and_words(void **state)
{
	(void)state;
	for (int fault = HTTP_FAULT_NONE + 1; fault < HTTP_FAULTS; fault++) {
		assert_in_range(http_fault_status((enum http_fault)fault), 400, 599);
		assert_true(strlen(http_fault_words((enum http_fault)fault)) > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_head_says_what_it_says, tear_down),
		cmocka_unit_test_teardown(a_url_is_a_path_and_its_host_counts, tear_down),
		cmocka_unit_test_teardown(a_connection_stays_or_not, tear_down),
		cmocka_unit_test_teardown(what_could_be_read_in_two_ways_is_refused, tear_down),
		cmocka_unit_test_teardown(half_a_head_is_waited_for, tear_down),
		cmocka_unit_test_teardown(both_parts_have_a_bound, tear_down),
		cmocka_unit_test(every_fault_has_a_status_and_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
