/* Bodies, packets and reasons of comet-cli bench. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <zlib.h>

#include "bench/bench_body.h"
#include "bench/bench_reason.h"
#include "bench/bench_wire.h"
#include "common/base/err.h"

static const char run[] = "0123456789abcdef";

static void a_body_is_json_of_the_size_asked_for(void **state)
{
	char body[300];

	(void)state;
	for (size_t n = BENCH_BODY_MIN; n <= sizeof(body); n++) {
		json_t *read;

		memset(body, 0, sizeof(body));
		bench_body_write(body, n, run, UINT32_MAX, INT64_MAX);
		read = json_loadb(body, n, 0, NULL);
		assert_non_null(read);
		assert_string_equal(json_string_value(json_object_get(read, "run")), run);
		json_decref(read);
	}
}

static void a_body_is_read_back(void **state)
{
	static const struct {
		uint32_t n;
		int64_t ns;
	} cases[] = {{0, 0}, {1, 2}, {UINT32_MAX, INT64_MAX}, {4242, 1234567890123456789}};
	char body[BENCH_BODY_MIN];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t n;
		int64_t ns;

		bench_body_write(body, sizeof(body), run, cases[i].n, cases[i].ns);
		assert_true(bench_body_read((uint8_t *)body, sizeof(body), run, &n, &ns));
		assert_int_equal(n, cases[i].n);
		assert_true(ns == cases[i].ns);
	}
}

static void a_body_of_somebody_else_is_not_taken(void **state)
{
	char body[BENCH_BODY_MIN];
	uint32_t n;
	int64_t ns;

	(void)state;
	bench_body_write(body, sizeof(body), run, 1, 2);
	assert_false(bench_body_read((uint8_t *)body, sizeof(body), "fedcba9876543210", &n, &ns));
	assert_false(bench_body_read((uint8_t *)body, sizeof(body) - 1, run, &n, &ns));
	for (size_t i = 0; i < 68; i++) { /* up to the end of the time */
		char kept = body[i];

		/* Neither in the names that stand between the columns nor in a digit may anything else pass. */
		if (i >= 24 && (body[i] < '0' || body[i] > '9'))
			continue;
		body[i] = '*';
		assert_false(bench_body_read((uint8_t *)body, sizeof(body), run, &n, &ns));
		body[i] = kept;
	}
}

struct seen {
	int32_t ops[8];
	size_t n;
	size_t body_bytes;
	size_t pings, ping_bytes;
	int say; /* what the sink returns */
};

static int take_packet(void *arg, const struct packet *p)
{
	struct seen *seen = arg;

	assert_true(seen->n < 8);
	seen->ops[seen->n++] = p->op;
	seen->body_bytes += p->body_bytes;
	return seen->say;
}

static int take_ping(void *arg, const uint8_t *payload, size_t payload_bytes)
{
	struct seen *seen = arg;

	assert_non_null(payload);
	seen->pings++;
	seen->ping_bytes += payload_bytes;
	return seen->say;
}

/* Feed a copy of exactly n bytes on the heap, so that a sanitizer sees a read beyond them. */
static ssize_t feed(const char *wire, const uint8_t *bytes, size_t n, struct seen *seen)
{
	struct bench_wire_sink sink = {take_packet, take_ping, seen};
	uint8_t *copy = malloc(n > 0 ? n : 1);
	ssize_t done;

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	done = bench_wire_find(wire)->feed(copy, n, &sink);
	free(copy);
	return done;
}

static void tcp_hands_out_whole_packets_only(void **state)
{
	const struct bench_wire *tcp = bench_wire_find("tcp");
	uint8_t bytes[BENCH_WIRE_WRAP_BYTES * 2];
	size_t first = tcp->wrap(bytes, 1001, 1, "hello", 5);
	size_t both = first + tcp->wrap(bytes + first, 1002, 1, NULL, 0);

	(void)state;
	for (size_t n = 0; n <= both; n++) {
		struct seen seen = {.say = 0};

		assert_int_equal(feed("tcp", bytes, n, &seen), n == both ? both : n >= first ? first : 0);
		assert_int_equal(seen.n, n == both ? 2 : n >= first ? 1 : 0);
		assert_int_equal(seen.body_bytes, n >= first ? 5 : 0);
	}
}

static void tcp_stops_at_what_is_no_packet(void **state)
{
	const struct bench_wire *tcp = bench_wire_find("tcp");
	struct seen seen = {.say = 0};
	uint8_t bytes[64];
	size_t first = tcp->wrap(bytes, 1001, 1, NULL, 0);

	(void)state;
	packet_encode(bytes + first, 1, 1002, 0, BENCH_WIRE_BODY_MAX + 1);
	assert_int_equal(feed("tcp", bytes, first + PACKET_HEAD_BYTES, &seen), -ERR_PACKET_BODY);
	memset(bytes + first, 0, PACKET_HEAD_BYTES);
	assert_int_equal(feed("tcp", bytes, first + PACKET_HEAD_BYTES, &seen), -ERR_PACKET_LENGTH);
	seen.say = -ERR_EOF;
	assert_int_equal(feed("tcp", bytes, first, &seen), -ERR_EOF);
}

/* A frame as a server sends it. */
static size_t frame(uint8_t *out, uint8_t first, const uint8_t *payload, size_t n)
{
	size_t head = n < 126 ? 2 : 4;

	out[0] = first;
	out[1] = (uint8_t)(n < 126 ? n : 126);
	if (head == 4) {
		out[2] = (uint8_t)(n >> 8);
		out[3] = (uint8_t)n;
	}
	memcpy(out + head, payload, n);
	return head + n;
}

static size_t packet(uint8_t *out, int32_t op, const void *body, size_t n)
{
	packet_encode(out, 1, op, 0, (uint32_t)n);
	memcpy(out + PACKET_HEAD_BYTES, body, n);
	return PACKET_HEAD_BYTES + n;
}

/* A wrapper with two pushes in three fragments, a ping between them, then a reply that comes unwrapped. */
static size_t fragmented_message(uint8_t *out)
{
	uint8_t inner[400], outer[500], body[200] = {1};
	size_t n = packet(inner, 1000, body, sizeof(body)), at;

	n += packet(inner + n, 1001, "abc", 3);
	n = packet(outer, OP_RAW, inner, n);
	at = frame(out, 0x02, outer, 10);
	at += frame(out + at, 0x89, (const uint8_t *)"ping", 4);
	at += frame(out + at, 0x00, outer + 10, 150);
	at += frame(out + at, 0x80, outer + 160, n - 160);
	return at;
}

static void ws_puts_fragments_together_and_unwraps_pushes(void **state)
{
	uint8_t bytes[1024], reply[64];
	size_t first = fragmented_message(bytes);
	size_t both = first + frame(bytes + first, 0x82, reply, packet(reply, OP_HEARTBEAT_REPLY, "\0\0\0\1", 4));

	(void)state;
	for (size_t n = 0; n <= both; n++) {
		struct seen seen = {.say = 0};

		assert_int_equal(feed("ws", bytes, n, &seen), n == both ? both : n >= first ? first : 0);
		assert_int_equal(seen.n, n == both ? 3 : n >= first ? 2 : 0);
		assert_int_equal(seen.body_bytes, n == both ? 207 : n >= first ? 203 : 0);
		assert_int_equal(seen.pings, n >= first);
		assert_int_equal(seen.ping_bytes, n >= first ? 4 : 0);
	}
}

static void ws_stops_at_what_no_server_may_send(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		int rc;
	} cases[] = {
		{"\x82\x80", 2, -EPROTO},                                                      /* masked */
		{"\xc2\x00", 2, -EPROTO},                                                      /* a reserved bit */
		{"\x81\x00", 2, -EPROTO},                                                      /* text */
		{"\x80\x00", 2, -EPROTO},                                                      /* nothing to continue */
		{"\x89\x7e\x00\x7e", 4, -EPROTO},                                              /* a ping of 126 bytes */
		{"\x88\x00", 2, -ERR_EOF},                                                     /* it closes */
		{"\x82\x01x", 3, -ERR_PACKET_LENGTH},                                          /* no whole packet */
		{"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10, -ERR_PACKET_BODY},            /* too long */
		{"\x82\x11\0\0\0\x11\0\x10\0\x01\0\0\0\x09\0\0\0\0x", 19, -ERR_PACKET_LENGTH}, /* a torn wrapper */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen seen = {.say = 0};

		assert_int_equal(feed("ws", (const uint8_t *)cases[i].bytes, cases[i].n, &seen), cases[i].rc);
		assert_int_equal(seen.n, 0);
	}
}

static void ws_masks_what_it_sends(void **state)
{
	const struct bench_wire *ws = bench_wire_find("ws");
	uint8_t bytes[BENCH_WIRE_WRAP_BYTES], body[200] = "body";

	(void)state;
	for (uint32_t n = 100; n < sizeof(body); n += 99) {
		size_t head = n + PACKET_HEAD_BYTES < 126 ? 2 : 4;
		struct packet p;

		assert_int_equal(ws->wrap(bytes, 7, 1, body, n), head + 4 + PACKET_HEAD_BYTES + n);
		assert_int_equal(bytes[0], 0x82);
		assert_int_equal(bytes[1], 0x80 | (head == 2 ? n + PACKET_HEAD_BYTES : 126));
		for (size_t i = 0; i < PACKET_HEAD_BYTES + n; i++)
			bytes[head + 4 + i] ^= bytes[head + i % 4];
		assert_int_equal(packet_decode(bytes + head + 4, 4096, &p), 0);
		assert_int_equal(p.op, 7);
		assert_memory_equal(bytes + head + 4 + PACKET_HEAD_BYTES, body, n);
	}
	assert_int_equal(ws->pong(bytes, (const uint8_t *)"hi", 2), 8);
	assert_int_equal(bytes[0], 0x8a);
}

static void ws_takes_nothing_but_an_upgrade(void **state)
{
	static const char yes[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nx";
	const struct bench_wire *ws = bench_wire_find("ws");
	static uint8_t endless[20000];

	(void)state;
	for (size_t n = 0; n < sizeof(yes) - 2; n++)
		assert_int_equal(ws->welcome((const uint8_t *)yes, n), 0);
	assert_int_equal(ws->welcome((const uint8_t *)yes, sizeof(yes) - 1), sizeof(yes) - 2);
	assert_int_equal(ws->welcome((const uint8_t *)"HTTP/1.1 404 Not Found\r\n\r\n", 26), -EPROTO);
	assert_int_equal(ws->welcome((const uint8_t *)"\r\n\r\n", 4), -EPROTO);
	assert_int_equal(ws->welcome(endless, sizeof(endless)), -EPROTO);
}

/* Two packets in op 9, as zlib has them. */
static void ws_deflate_takes_what_is_deflated_and_wants_it(void **state)
{
	static const char no[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n",
			  yes[] = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: permessage-deflate; "
				  "server_no_context_takeover\r\n\r\n";
	const struct bench_wire *ws = bench_wire_find("ws-deflate");
	uint8_t packets[3 * PACKET_HEAD_BYTES + 200], bytes[256] = {0xc2};
	char hello[BENCH_WIRE_WRAP_BYTES + 1];
	z_stream z = {.next_in = packets, .avail_in = sizeof(packets), .next_out = bytes + 2, .avail_out = 200};
	struct seen seen = {0};

	(void)state;
	hello[ws->hello(hello, sizeof(hello) - 1, "host", "1")] = '\0';
	assert_non_null(strstr(hello, "\r\nSec-WebSocket-Extensions: permessage-deflate"));
	assert_int_equal(ws->welcome((const uint8_t *)yes, sizeof(yes) - 1), sizeof(yes) - 1);
	assert_int_equal(ws->welcome((const uint8_t *)no, sizeof(no) - 1), -EPROTO);
	memset(packets, 'x', sizeof(packets));
	packet_encode(packets, 1, OP_RAW, 0, 2 * PACKET_HEAD_BYTES + 200);
	packet_encode(packets + PACKET_HEAD_BYTES, 1, 1000, 0, 200);
	packet_encode(packets + 2 * PACKET_HEAD_BYTES + 200, 1, 1000, 0, 0);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -12, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	bytes[1] = (uint8_t)(z.total_out - 4);
	(void)deflateEnd(&z);
	assert_int_equal(feed("ws-deflate", bytes, 2U + bytes[1], &seen), 2 + bytes[1]);
	assert_int_equal(seen.n, 2);
	bytes[2] = 0xff;
	assert_true(feed("ws-deflate", bytes, 2U + bytes[1], &seen) < 0);
}

static void no_wire_of_that_name_is_null(void **state)
{
	(void)state;
	assert_null(bench_wire_find("pigeon"));
}

/* ---- reasons ---- */

static void the_same_words_are_counted_together_and_lists_are_added(void **state)
{
	struct bench_reason all[BENCH_REASONS] = {0};
	struct bench_reason one[BENCH_REASONS] = {0};

	(void)state;
	bench_reason_count(one, "auth: refused");
	bench_reason_count(one, "connect: refused");
	bench_reason_count(one, "auth: refused");
	bench_reason_count(all, "connect: refused");
	bench_reason_add(all, one);
	assert_string_equal(all[0].words, "connect: refused");
	assert_int_equal(all[0].count, 2);
	assert_string_equal(all[1].words, "auth: refused");
	assert_int_equal(all[1].count, 2);
	assert_int_equal(all[2].count, 0);
}

static void a_full_list_counts_the_others_under_one(void **state)
{
	struct bench_reason list[BENCH_REASONS] = {0};
	uint64_t counted = 0;
	char words[2 * BENCH_REASON_BYTES];

	(void)state;
	for (int i = 0; i < 2 * BENCH_REASONS; i++) {
		memset(words, 'x', sizeof(words));
		words[sizeof(words) - 1] = '\0';
		words[0] = (char)('0' + i);
		bench_reason_count(list, words);
	}
	assert_string_equal(list[BENCH_REASONS - 1].words, "other reasons");
	assert_int_equal(list[BENCH_REASONS - 1].count, BENCH_REASONS + 1);
	for (size_t i = 0; i < BENCH_REASONS; i++)
		counted += list[i].count;
	assert_int_equal(counted, 2 * BENCH_REASONS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_words_are_counted_together_and_lists_are_added),
		cmocka_unit_test(a_full_list_counts_the_others_under_one),
		cmocka_unit_test(a_body_is_json_of_the_size_asked_for),
		cmocka_unit_test(a_body_is_read_back),
		cmocka_unit_test(a_body_of_somebody_else_is_not_taken),
		cmocka_unit_test(tcp_hands_out_whole_packets_only),
		cmocka_unit_test(tcp_stops_at_what_is_no_packet),
		cmocka_unit_test(ws_puts_fragments_together_and_unwraps_pushes),
		cmocka_unit_test(ws_stops_at_what_no_server_may_send),
		cmocka_unit_test(ws_masks_what_it_sends),
		cmocka_unit_test(ws_takes_nothing_but_an_upgrade),
		cmocka_unit_test(ws_deflate_takes_what_is_deflated_and_wants_it),
		cmocka_unit_test(no_wire_of_that_name_is_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
