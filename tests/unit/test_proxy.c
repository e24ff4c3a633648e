/* Tests of comet/door/proxy. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/door/proxy.h"
#include "comet/transport/transport.h"
#include "common/base/peer.h"

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* From a buffer of exactly that size, so that the sanitizer sees a read beyond it. */
static int parse(const void *bytes, size_t n, char client[TRANSPORT_PEER_BYTES], size_t *header_bytes)
{
	struct sockaddr_storage address;
	uint8_t *exact = malloc(n + (n == 0));
	int rc;

	if (n > 0)
		memcpy(exact, bytes, n);
	rc = proxy_parse(exact, n, &address, header_bytes);
	free(exact);
	if (rc == 0 && address.ss_family == AF_UNSPEC)
		(void)snprintf(client, TRANSPORT_PEER_BYTES, "unspecified");
	else if (rc == 0)
		peer_text((struct sockaddr *)&address, true, client, TRANSPORT_PEER_BYTES);
	return rc;
}

/* The header itself, then with bytes of the client's behind it, then each beginning of it. */
/* A few bytes more than the longest line that there can be. */
static const char too_long[] =
	"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
	"655350000000\r\n";

static void assert_header(const void *bytes, size_t n, const char *wanted)
{
	char client[TRANSPORT_PEER_BYTES], more[PROXY_HEADER_BYTES + 8];
	size_t header_bytes;

	assert_int_equal(parse(bytes, n, client, &header_bytes), 0);
	assert_string_equal(client, wanted);
	assert_int_equal(header_bytes, n);
	memcpy(more, bytes, n);
	memcpy(more + n, "\r\nPROXY", 7);
	assert_int_equal(parse(more, n + 7, client, &header_bytes), 0);
	assert_string_equal(client, wanted);
	assert_int_equal(header_bytes, n);
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(parse(bytes, cut, client, &header_bytes), -EAGAIN);
}

static void assert_line(const char *line, const char *wanted)
{
	assert_header(line, strlen(line), wanted);
}

static void line_tells_the_address(void **state)
{
	(void)state;
	assert_line("PROXY TCP4 192.0.2.7 10.0.0.1 51234 3101\r\n", "192.0.2.7:51234");
	assert_line("PROXY TCP6 2001:db8::7 2001:db8::1 51234 3101\r\n", "[2001:db8::7]:51234");
	assert_line("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
		    "65535\r\n",
		    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void line_may_know_no_address(void **state)
{
	(void)state;
	assert_line("PROXY UNKNOWN\r\n", "unspecified");
	assert_line("PROXY UNKNOWN whatever it says\r\n", "unspecified");
}

static void wrong_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"GET / HTTP/1.1\r\n",
		"PROXY\r\n",
		"PROXY \r\n",
		"PROXY TCP4\r\n",
		"PROXY TCP5 192.0.2.7 10.0.0.1 51234 3101\r\n",
		"PROXY TCP4 192.0.2.7 10.0.0.1 51234\r\n",
		"PROXY TCP4 192.0.2.7 10.0.0.1 51234 3101 \r\n",
		"PROXY TCP4 192.0.2.7 10.0.0.1 51234 3101 9\r\n",
		"PROXY TCP4  192.0.2.7 10.0.0.1 51234 3101\r\n",
		"PROXY TCP4 192.0.2.7 10.0.0.1 65536 3101\r\n",
		"PROXY TCP4 192.0.2.7 10.0.0.1 -1 3101\r\n",
		"PROXY TCP4 192.0.2.7 10.0.0.1 51234 3101\n",
		"PROXY TCP4 192.0.2.256 10.0.0.1 51234 3101\r\n",
		"PROXY TCP4 2001:db8::7 10.0.0.1 51234 3101\r\n",
		"PROXY TCP6 192.0.2.7 10.0.0.1 51234 3101\r\n",
		too_long,
		"X",
	};
	char client[TRANSPORT_PEER_BYTES];
	size_t header_bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (parse(lines[i], strlen(lines[i]), client, &header_bytes) != -EBADMSG)
			fail_msg("taken: %s", lines[i]);
	assert_int_equal(parse("PROXY UNKNOWN a\0b\r\n", 19, client, &header_bytes), -EBADMSG);
}

/* The signature, then these four bytes, then what follows. */
static size_t make_v2(uint8_t *out, uint8_t version_command, uint8_t family, uint16_t length, const void *rest)
{
	memcpy(out, V2_SIGNATURE, 12);
	out[12] = version_command;
	out[13] = family;
	out[14] = (uint8_t)(length >> 8);
	out[15] = (uint8_t)length;
	if (length > 0)
		memcpy(out + 16, rest, length);
	return 16 + (size_t)length;
}

#define V4_ADDRESSES "\xc0\x00\x02\x07\x0a\x00\x00\x01\xc8\x22\x0c\x1d"
#define V6_ADDRESSES                                                                                                   \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xc8\x22\x0c\x1d"

static void binary_header_tells_the_address(void **state)
{
	uint8_t header[PROXY_HEADER_BYTES];
	size_t n;

	(void)state;
	n = make_v2(header, 0x21, 0x11, 12, V4_ADDRESSES);
	assert_header(header, n, "192.0.2.7:51234");
	n = make_v2(header, 0x21, 0x21, 36, V6_ADDRESSES);
	assert_header(header, n, "[2001:db8::7]:51234");
	n = make_v2(header, 0x21, 0x11, 20, V4_ADDRESSES "\x04\x00\x05hello");
	assert_header(header, n, "192.0.2.7:51234");
}

static void binary_header_may_know_no_address(void **state)
{
	uint8_t header[PROXY_HEADER_BYTES], rest[216] = {0};
	size_t n;

	(void)state;
	n = make_v2(header, 0x20, 0x00, 0, NULL); /* LOCAL */
	assert_header(header, n, "unspecified");
	n = make_v2(header, 0x20, 0x11, 12, V4_ADDRESSES);
	assert_header(header, n, "unspecified");
	n = make_v2(header, 0x21, 0x00, 0, NULL); /* unknown family */
	assert_header(header, n, "unspecified");
	n = make_v2(header, 0x21, 0x31, 216, rest); /* Unix sockets */
	assert_header(header, n, "unspecified");
}

static void wrong_binary_headers_are_refused(void **state)
{
	uint8_t header[PROXY_HEADER_BYTES];
	char client[TRANSPORT_PEER_BYTES];
	size_t header_bytes, n;

	(void)state;
	n = make_v2(header, 0x11, 0x11, 12, V4_ADDRESSES); /* version 1 */
	assert_int_equal(parse(header, n, client, &header_bytes), -EBADMSG);
	n = make_v2(header, 0x22, 0x11, 12, V4_ADDRESSES); /* command 2 */
	assert_int_equal(parse(header, n, client, &header_bytes), -EBADMSG);
	n = make_v2(header, 0x21, 0x11, 11, V4_ADDRESSES); /* shorter than its addresses */
	assert_int_equal(parse(header, n, client, &header_bytes), -EBADMSG);
	n = make_v2(header, 0x21, 0x21, 12, V4_ADDRESSES);
	assert_int_equal(parse(header, n, client, &header_bytes), -EBADMSG);
	(void)make_v2(header, 0x21, 0x11, 12, V4_ADDRESSES); /* longer than anybody sends */
	header[14] = 0xff;
	assert_int_equal(parse(header, 28, client, &header_bytes), -EBADMSG);
	header[4] = 'x'; /* a signature that goes wrong in the middle */
	assert_int_equal(parse(header, 28, client, &header_bytes), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_tells_the_address),
		cmocka_unit_test(line_may_know_no_address),
		cmocka_unit_test(wrong_lines_are_refused),
		cmocka_unit_test(binary_header_tells_the_address),
		cmocka_unit_test(binary_header_may_know_no_address),
		cmocka_unit_test(wrong_binary_headers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
