/* Tests of comet/transport/ws, over a socket pair. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "comet/goodbye.h"
#include "comet/transport/v1_json.h"
#include "comet/transport/ws.h"
#include "comet/transport/ws_frame.h"
#include "comet/transport/ws_request.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"

#define MAX_BODY 1000
#define REQUEST                                                                                                        \
	"GET /sub HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"   \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static bool parks;
static struct ws_ping_times pings = {.every_ns = 50 * CLOCK_SEC, .pong_ns = 20 * CLOCK_SEC};
static struct buffers buffers;
static uint32_t max_body = MAX_BODY;
static bool takes_deflate;
static struct transport *ws;
static int peer, ws_fd;

static int begin(void)
{
	const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1234)};
	static const struct origins origins = {.list = "https://good.test"};
	const struct ws_options opt = {.max_body = max_body,
				       .deflate = takes_deflate,
				       .origins = &origins,
				       .ping = &pings,
				       .parks = parks,
				       .write_timeout_ns = 60 * CLOCK_SEC};
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	peer = ends[0];
	ws_fd = ends[1];
	return ws_new(ws_fd, (const struct sockaddr *)&address, &buffers, &opt, &ws);
}

static void end(void)
{
	if (ws != NULL)
		ws->ops->free(&ws);
	if (peer >= 0)
		(void)close(peer);
	peer = -1;
}

static int set_up(void **state)
{
	uint8_t *kept;

	(void)state;
	buffers_init(&buffers, ws_buffer_bytes(max_body));
	/* One buffer to lend: it tells by n_free whether it is lent. */
	if ((kept = buffers_get(&buffers)) == NULL)
		return -1;
	buffers_put(&buffers, kept);
	return begin();
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	end();
	buffers_fini(&buffers);
	max_body = MAX_BODY;
	pings.every_ns = 50 * CLOCK_SEC;
	takes_deflate = false;
	parks = false;
	return 0;
}

static int set_up_for_long_bodies(void **state)
{
	max_body = 20000;
	return set_up(state);
}

static void again(void)
{
	end();
	assert_int_equal(begin(), 0);
}

/* ---- what the peer does ---- */

static void send_bytes(const void *bytes, size_t n)
{
	assert_int_equal(write(peer, bytes, n), n);
}

/* A masked frame; returns its length. */
static size_t lay_frame(uint8_t *out, uint8_t first, const void *payload, size_t n)
{
	static const uint8_t mask[] = {0xa5, 1, 0, 0x7f};
	size_t at = 2;

	out[0] = first;
	out[1] = (uint8_t)(0x80 | (n < 126 ? n : 126));
	if (n >= 126) {
		out[2] = (uint8_t)(n >> 8);
		out[3] = (uint8_t)n;
		at = 4;
	}
	memcpy(out + at, mask, 4);
	at += 4;
	for (size_t i = 0; i < n; i++)
		out[at + i] = ((const uint8_t *)payload)[i] ^ mask[i % 4];
	return at + n;
}

static void send_frame(uint8_t first, const void *payload, size_t n)
{
	uint8_t frame[WS_HEAD_IN_BYTES + 20000 + V1_JSON_AROUND_BYTES];

	send_bytes(frame, lay_frame(frame, first, payload, n));
}

static size_t lay_packet(uint8_t *out, int32_t seq, uint32_t body_bytes)
{
	packet_encode(out, 1, 4, seq, body_bytes);
	for (uint32_t i = 0; i < body_bytes; i++)
		out[PACKET_HEAD_BYTES + i] = (uint8_t)(i + (uint32_t)seq);
	return PACKET_HEAD_BYTES + body_bytes;
}

static void send_packet(int32_t seq, uint32_t body_bytes)
{
	uint8_t bytes[PACKET_HEAD_BYTES + MAX_BODY];

	send_frame(0x80 | WS_BINARY, bytes, lay_packet(bytes, seq, body_bytes));
}

static void send_text(const char *text)
{
	send_frame(0x80 | WS_TEXT, text, strlen(text));
}

static size_t receive_bytes(void *into, size_t space)
{
	size_t n = 0;
	ssize_t got;

	while (n < space && (got = recv(peer, (char *)into + n, space - n, MSG_DONTWAIT)) > 0)
		n += (size_t)got;
	return n;
}

static void assert_receives(const void *wanted, size_t n)
{
	uint8_t got[4096];

	assert_int_equal(receive_bytes(got, sizeof(got)), n);
	assert_memory_equal(got, wanted, n);
}

static void receive_answer(const char *status)
{
	char got[4096];
	size_t n = receive_bytes(got, sizeof(got) - 1);

	got[n] = '\0';
	if (strncmp(got, status, strlen(status)) != 0)
		fail_msg("%s instead of %s", got, status);
}

static int read_rc(void)
{
	struct packet p;
	int rc = ws->ops->read(ws, &p);

	if (rc == 0)
		packet_drop_body(&p);
	return rc;
}

static void assert_kind(enum packet_kind kind)
{
	struct packet p;

	assert_int_equal(ws->ops->read(ws, &p), 0);
	assert_int_equal(p.kind, kind);
	packet_drop_body(&p);
}

static void assert_reads(int32_t seq, uint32_t body_bytes)
{
	struct packet p;

	assert_int_equal(ws->ops->read(ws, &p), 0);
	assert_int_equal(p.kind, PACKET_WHOLE);
	assert_int_equal(p.op, 4);
	assert_int_equal(p.seq, seq);
	assert_int_equal(p.body_bytes, body_bytes);
	for (uint32_t i = 0; i < body_bytes; i++)
		assert_int_equal(p.body[i], (uint8_t)(i + (uint32_t)seq));
}

static void open_up(void)
{
	send_bytes(REQUEST "\r\n", strlen(REQUEST "\r\n"));
	send_packet(0, 0);
	assert_reads(0, 0);
	receive_answer("HTTP/1.1 101 ");
	(void)ws->ops->taken(ws);
}

/* The code of the close frame that finishing writes. */
static void assert_closes(int code)
{
	uint8_t got[200];
	size_t n;

	ws->ops->finish_writing(ws, 1001, "draining", TRANSPORT_WAIT);
	n = receive_bytes(got, sizeof(got));
	assert_int_equal(n, 12);
	assert_int_equal(got[0], 0x80 | WS_CLOSE);
	assert_int_equal(got[2] << 8 | got[3], code);
	assert_memory_equal(got + 4, "draining", 8);
}

/* ---- the handshake ---- */

static void a_request_may_come_in_pieces_of_any_size(void **state)
{
	(void)state;
	for (unsigned piece = 1; piece < 300; piece++) {
		seam_limit_bytes(piece);
		send_bytes(REQUEST "Cookie: 1234567890123456789012345678901234567890\r\n\r\n",
			   strlen(REQUEST "Cookie: 1234567890123456789012345678901234567890\r\n\r\n"));
		send_packet(1, 100);
		send_packet(2, 3);
		assert_reads(1, 100);
		assert_reads(2, 3);
		receive_answer("HTTP/1.1 101 ");
		again();
	}
}

static void who_has_not_asked_yet_holds_no_buffer(void **state)
{
	(void)state;
	assert_int_equal(fcntl(ws_fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(read_rc(), -EAGAIN);
	send_bytes("GET /sub HTTP/1.1\r\n", 19);
	assert_int_equal(read_rc(), -EAGAIN);
	assert_int_equal(buffers.n_free, 1);
	/* Whoever stops in the middle goes on there. */
	send_bytes(&REQUEST[19], strlen(REQUEST) - 19);
	assert_int_equal(read_rc(), -EAGAIN);
	assert_int_equal(buffers.n_free, 0);
	send_bytes("\r\n", 2);
	assert_int_equal(read_rc(), -EAGAIN);
	assert_int_equal(buffers.n_free, 1);
	receive_answer("HTTP/1.1 101 ");
}

static void a_request_that_is_none_is_answered_and_no_more(void **state)
{
	(void)state;
	send_bytes("GET /x HTTP/1.1\r\n\r\n", 19);
	assert_int_equal(read_rc(), -ERR_UPGRADE);
	receive_answer("HTTP/1.1 404 ");
	ws->ops->finish_writing(ws, 1002, "websocket_upgrade", TRANSPORT_WAIT);
	send_bytes(REQUEST "\r\n", strlen(REQUEST "\r\n"));
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	assert_int_equal(read_rc(), -ERR_EOF);
	assert_receives("", 0);
}

static void a_page_is_let_in_by_its_origin(void **state)
{
	static const char good[] = REQUEST "Origin: https://good.test\r\n\r\n", bad[] = REQUEST "Origin: null\r\n\r\n";

	(void)state;
	send_bytes(bad, sizeof(bad) - 1);
	assert_int_equal(read_rc(), -ERR_ORIGIN);
	receive_answer("HTTP/1.1 403 ");
	again();
	send_bytes(good, sizeof(good) - 1);
	send_packet(1, 0);
	assert_reads(1, 0);
}

static void who_leaves_in_the_handshake_is_cut(void **state)
{
	(void)state;
	for (size_t n = 0; n < 40; n += 13) {
		send_bytes(REQUEST, n);
		assert_int_equal(shutdown(peer, SHUT_WR), 0);
		assert_int_equal(read_rc(), -ERR_CUT);
		again();
	}
}

static void who_has_not_asked_is_told_to_go_in_http(void **state)
{
	struct packet p = {.op = OP_DISCONNECT, .body = (uint8_t *)"{\"code\":11}", .body_bytes = 11};

	(void)state;
	assert_int_equal(transport_write_packet(ws, &p, DIALECT_V2, TRANSPORT_NOW), 0);
	ws->ops->finish_writing(ws, 1013, "no_thread", TRANSPORT_NOW);
	receive_answer("HTTP/1.1 503 ");
	again();
	send_bytes("x\r\n", 3);
	assert_int_equal(read_rc(), -ERR_UPGRADE);
	receive_answer("HTTP/1.1 400 ");
	assert_int_equal(transport_write_packet(ws, &p, DIALECT_V2, TRANSPORT_NOW), -EPIPE);
	assert_receives("", 0);
}

static void the_longest_goodbye_comes_whole(void **state)
{
	char body[GOODBYE_BYTES + 1], got[4096];
	struct packet p = {.op = OP_DISCONNECT, .body = (uint8_t *)body, .body_bytes = GOODBYE_BYTES};
	const char *said;

	(void)state;
	memset(body, 'x', GOODBYE_BYTES);
	body[GOODBYE_BYTES] = '\0';
	assert_int_equal(transport_write_packet(ws, &p, DIALECT_V2, TRANSPORT_NOW), 0);
	got[receive_bytes(got, sizeof(got) - 1)] = '\0';
	assert_non_null(said = strstr(got, "\r\n\r\n"));
	assert_string_equal(said + 4, body);
}

static void an_answer_that_does_not_go_ends_it(void **state)
{
	(void)state;
	send_bytes(REQUEST "\r\n", strlen(REQUEST "\r\n"));
	seam_fail(SEAM_SENDMSG, 0, 1, EPIPE);
	assert_int_equal(read_rc(), -EPIPE);
	again();
	send_bytes(REQUEST "\r\n", strlen(REQUEST "\r\n"));
	seam_reset();
	seam_fail(SEAM_SENDMSG, 0, 1, EAGAIN);
	assert_int_equal(read_rc(), -ETIME); /* not -ETIMEDOUT, which keepalive says of who is gone */
}

/* Over TLS it can fill the socket before it asks. */
static void with_parking_no_thread_waits_for_who_takes_no_answer(void **state)
{
	const struct timeval patience = {.tv_sec = 2};
	static const char *const asks[] = {REQUEST "\r\n", "POST / HTTP/1.1\r\n\r\n"};
	static const int rcs[] = {-ETIME, -ERR_UPGRADE};
	char nothing[1024] = {0};

	(void)state;
	parks = true;
	for (unsigned i = 0; i < 2; i++) {
		int64_t began;

		again();
		assert_int_equal(setsockopt(ws_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
		while (send(ws_fd, nothing, sizeof(nothing), MSG_DONTWAIT) > 0)
			;
		while (send(ws_fd, nothing, 1, MSG_DONTWAIT) > 0)
			;
		send_bytes(asks[i], strlen(asks[i]));
		began = clock_now_ns();
		assert_int_equal(read_rc(), rcs[i]);
		assert_true(clock_now_ns() - began < CLOCK_SEC);
	}
}

/* ---- reading ---- */

static void packets_of_all_sizes_are_read_in_pieces_of_any_size(void **state)
{
	static const uint32_t sizes[] = {0, 1, 4, 41, 42, 43, 109, 110, 500, MAX_BODY, 0};

	(void)state;
	open_up();
	for (unsigned piece = 1; piece < 1100; piece += piece < 80 ? 1 : 97) {
		seam_limit_bytes(piece);
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			send_packet((int32_t)i, sizes[i]);
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			assert_reads((int32_t)i, sizes[i]);
		assert_false(ws->ops->has_packet(ws));
	}
}

static void it_holds_no_buffer_while_it_waits(void **state)
{
	(void)state;
	open_up();
	assert_int_equal(fcntl(ws_fd, F_SETFL, O_NONBLOCK), 0);
	send_packet(1, 500);
	assert_reads(1, 500);
	assert_int_equal(buffers.n_free, 0);
	assert_int_equal(read_rc(), -EAGAIN);
	assert_int_equal(buffers.n_free, 1);
	send_packet(2, 10);
	assert_reads(2, 10);
	assert_int_equal(buffers.n_free, 1);
}

static void fragments_and_pings_are_told_one_by_one(void **state)
{
	uint8_t bytes[PACKET_HEAD_BYTES + 100];
	struct packet p;

	(void)state;
	open_up();
	(void)lay_packet(bytes, 7, 100);
	send_frame(WS_BINARY, bytes, 20);
	send_frame(0x80 | WS_PING, "there?", 6);
	send_frame(0x80 | WS_PONG, "", 0);
	send_frame(0x80 | WS_CONTINUATION, bytes + 20, 96);
	assert_kind(PACKET_NOTHING);
	assert_int_equal(ws->ops->taken(ws), 26);
	assert_true(ws->ops->has_packet(ws));
	assert_int_equal(ws->ops->read(ws, &p), 0);
	assert_int_equal(p.kind, PACKET_PING);
	assert_true(p.body_owned);
	assert_int_equal(p.body_bytes, 6);
	assert_memory_equal(p.body, "there?", 6);
	packet_drop_body(&p);
	assert_int_equal(ws->ops->taken(ws), 12);
	assert_kind(PACKET_NOTHING);
	assert_reads(7, 100);
	assert_int_equal(ws->ops->taken(ws), 6 + 102);
	assert_int_equal(ws->ops->taken(ws), 0);
	assert_false(ws->ops->has_packet(ws));
}

/* Nothing else may be so long in the buffer: a message but for its end, and a ping. */
static void behind_the_longest_message_there_is_space_for_a_ping(void **state)
{
	static uint8_t text[20000 + V1_JSON_AROUND_BYTES];
	static const uint8_t ping[WS_CONTROL_BYTES];
	size_t n;

	(void)state;
	send_bytes(REQUEST "\r\n", strlen(REQUEST "\r\n"));
	memset(text, ' ', sizeof(text));
	n = (size_t)sprintf((char *)text, "{\"op\":4,\"seq\":7}");
	text[n] = ' ';
	send_frame(WS_TEXT, text, sizeof(text));
	assert_kind(PACKET_NOTHING);
	for (unsigned i = 0; i < 3; i++) {
		send_frame(0x80 | WS_PING, ping, sizeof(ping));
		assert_kind(PACKET_PING);
	}
	send_frame(0x80 | WS_CONTINUATION, "", 0);
	assert_reads(7, 0);
}

static void a_message_may_have_several_packets_and_a_rest(void **state)
{
	uint8_t bytes[200];
	size_t n;

	(void)state;
	open_up();
	for (size_t rest = 0; rest < PACKET_HEAD_BYTES; rest++) {
		memset(bytes, 0, sizeof(bytes));
		n = lay_packet(bytes, 1, 20);
		n += lay_packet(bytes + n, 2, 0);
		send_frame(0x80 | WS_BINARY, bytes, n + rest);
		assert_reads(1, 20);
		assert_true(ws->ops->has_packet(ws));
		assert_reads(2, 0);
		assert_false(ws->ops->has_packet(ws));
		send_packet(3, 1);
		assert_reads(3, 1);
	}
	send_frame(0x80 | WS_BINARY, bytes, n + PACKET_HEAD_BYTES); /* a packet more, whose length is 0 */
	assert_reads(1, 20);
	assert_reads(2, 0);
	assert_int_equal(read_rc(), -ERR_PACKET_LENGTH);
}

static void a_message_that_is_no_packet_is_refused(void **state)
{
	static const struct {
		uint32_t says, has;
		int rc;
	} cases[] = {
		{5, 4, -ERR_PACKET_LENGTH},
		{100, 0, -ERR_PACKET_LENGTH},
		{MAX_BODY + 1, 0, -ERR_PACKET_BODY},
		{MAX_BODY, 3, -ERR_PACKET_LENGTH},
	};
	uint8_t bytes[64] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_up();
		packet_encode(bytes, 1, 4, 1, cases[i].says);
		send_frame(0x80 | WS_BINARY, bytes, PACKET_HEAD_BYTES + (size_t)cases[i].has);
		assert_int_equal(read_rc(), cases[i].rc);
		assert_closes(1001); /* which is the goodbye's to say */
		again();
	}
	open_up();
	send_frame(0x80 | WS_BINARY, "", 0);
	assert_int_equal(read_rc(), -ERR_PACKET_LENGTH);
}

static void text_is_packets_as_json(void **state)
{
	struct packet p;

	(void)state;
	send_bytes(REQUEST "\r\n", strlen(REQUEST "\r\n"));
	send_text("{\"ver\":1,\"op\":7,\"seq\":1,\"body\":123}");
	assert_int_equal(ws->ops->read(ws, &p), 0);
	assert_true(ws->ops->is_text(ws));
	assert_int_equal(p.op, 7);
	assert_memory_equal(p.body, "123", 3);
	receive_answer("HTTP/1.1 101 ");
	p = (struct packet){.ver = 1, .op = 8, .seq = 1};
	assert_int_equal(transport_write_packet(ws, &p, DIALECT_V1_JSON, TRANSPORT_WAIT), 0);
	assert_receives("\x81\x25[{\"ver\":1,\"op\":8,\"seq\":1,\"body\":{}}]\n", 39);
	send_text("{}");
	assert_int_equal(read_rc(), -ERR_PACKET_JSON);
}

static void packets_may_come_as_text(void **state)
{
	uint8_t bytes[PACKET_HEAD_BYTES + 10];

	(void)state;
	send_bytes(REQUEST "\r\n", strlen(REQUEST "\r\n"));
	send_frame(0x80 | WS_TEXT, bytes, lay_packet(bytes, 200, 10));
	assert_reads(200, 10);
	assert_false(ws->ops->is_text(ws));
	send_packet(1, 0);
	assert_reads(1, 0);
}

static void what_is_forbidden_ends_it_with_its_code(void **state)
{
	static const struct {
		uint8_t first;
		const char *payload;
		size_t n;
		int rc, code;
	} cases[] = {
		{0xc0 | WS_BINARY, "x", 1, -ERR_FRAME, 1002},
		{0x83, "x", 1, -ERR_FRAME, 1002},
		{WS_PING, "x", 1, -ERR_FRAME, 1002},
		{0x80 | WS_CONTINUATION, "x", 1, -ERR_FRAME, 1002},
		{0x80 | WS_TEXT, "{}", 2, -ERR_FRAME, 1003},
		{0x80 | WS_TEXT, "\xff", 1, -ERR_FRAME, 1007},
		{0x80 | WS_CLOSE, "\x0f\xa0", 2, -ERR_EOF, 4000},
		{0x80 | WS_CLOSE, "\x03", 1, -ERR_EOF, 1002},
		{0x80 | WS_CLOSE, "", 0, -ERR_EOF, 1000},
	};
	static const uint8_t long_one[2 * MAX_BODY];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_up();
		send_frame(cases[i].first, cases[i].payload, cases[i].n);
		send_packet(9, 0); /* is not read any more */
		assert_int_equal(read_rc(), cases[i].rc);
		assert_closes(cases[i].code);
		assert_int_equal(shutdown(peer, SHUT_WR), 0);
		assert_int_equal(read_rc(), -ERR_EOF);
		again();
	}
	open_up();
	send_frame(0x80 | WS_BINARY, long_one, sizeof(long_one));
	assert_int_equal(read_rc(), -ERR_PACKET_BODY);
	again();
	open_up();
	send_bytes("\x82\x00", 2); /* no mask */
	assert_int_equal(read_rc(), -ERR_FRAME);
	assert_closes(1002);
}

/* ---- deflated ---- */

#define OFFER "Sec-WebSocket-Extensions: permessage-deflate\r\n"

static int set_up_to_deflate(void **state)
{
	takes_deflate = true;
	return set_up(state);
}

static size_t deflate_bytes(const void *bytes, size_t n, uint8_t *out, size_t space)
{
	z_stream z = {
		.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)space};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	(void)deflateEnd(&z);
	return z.total_out - 4;
}

static void send_deflated(uint8_t opcode, const void *bytes, size_t n)
{
	uint8_t out[4096];

	send_frame(0x80 | WS_DEFLATED | opcode, out, deflate_bytes(bytes, n, out, sizeof(out)));
}

static void open_deflated(void)
{
	char got[512];

	send_bytes(REQUEST OFFER "\r\n", strlen(REQUEST OFFER "\r\n"));
	send_packet(0, 0);
	assert_reads(0, 0);
	got[receive_bytes(got, sizeof(got) - 1)] = '\0';
	assert_non_null(strstr(got, "\r\nSec-WebSocket-Extensions: permessage-deflate;"));
	(void)ws->ops->taken(ws);
}

static void deflated_packets_are_read_and_nothing_is_held_afterwards(void **state)
{
	uint8_t bytes[2 * PACKET_HEAD_BYTES + 600];
	size_t n = lay_packet(bytes, 1, 600);

	(void)state;
	open_deflated();
	assert_int_equal(fcntl(ws_fd, F_SETFL, O_NONBLOCK), 0);
	n += lay_packet(bytes + n, 2, 0);
	send_deflated(WS_BINARY, bytes, n);
	send_packet(3, 5);
	assert_reads(1, 600);
	assert_true(ws->ops->has_packet(ws));
	assert_reads(2, 0);
	/* A limit counts what there was to read, inflated. */
	assert_int_equal(ws->ops->taken(ws) - 8, n);
	assert_reads(3, 5);
	assert_int_equal(read_rc(), -EAGAIN);
	assert_int_equal(buffers.n_free, 2);
}

static void deflated_text_is_json_or_packets(void **state)
{
	uint8_t bytes[PACKET_HEAD_BYTES + 10];
	struct packet p;

	(void)state;
	open_deflated();
	send_deflated(WS_TEXT, bytes, lay_packet(bytes, 200, 10));
	assert_reads(200, 10);
	again();
	send_bytes(REQUEST OFFER "\r\n", strlen(REQUEST OFFER "\r\n"));
	send_deflated(WS_TEXT, "{\"op\":7,\"body\":123}", 19);
	assert_int_equal(ws->ops->read(ws, &p), 0);
	assert_true(ws->ops->is_text(ws));
	assert_memory_equal(p.body, "123", 3);
	send_deflated(WS_TEXT, "\"\xff\"", 3);
	assert_int_equal(read_rc(), -ERR_FRAME);
	receive_answer("HTTP/1.1 101 ");
	assert_closes(1007);
}

static void what_is_not_deflated_well_ends_it_with_its_code(void **state)
{
	static const uint8_t zeros[200000];
	static const struct {
		const char *payload;
		size_t n;
		int rc, code;
	} cases[] = {
		{"", 0, -ERR_FRAME, 1007},
		{"Hello", 5, -ERR_FRAME, 1007},
		{NULL, sizeof(zeros), -ERR_PACKET_BODY, 1009},
		{NULL, MAX_BODY + V1_JSON_AROUND_BYTES + 1, -ERR_PACKET_BODY, 1009},
	};
	uint8_t *kept[2];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_deflated();
		if (cases[i].payload != NULL)
			send_frame(0x80 | WS_DEFLATED | WS_BINARY, cases[i].payload, cases[i].n);
		else
			send_deflated(WS_BINARY, zeros, cases[i].n);
		send_packet(9, 0); /* is not read any more */
		assert_int_equal(read_rc(), cases[i].rc);
		assert_closes(cases[i].code);
		again();
	}
	open_deflated();
	send_deflated(WS_BINARY, zeros, MAX_BODY + V1_JSON_AROUND_BYTES); /* which is no packet */
	assert_int_equal(read_rc(), -ERR_PACKET_LENGTH);
	again();
	open_deflated();
	assert_int_equal(fcntl(ws_fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(read_rc(), -EAGAIN); /* and so the stream has none */
	send_deflated(WS_BINARY, zeros, 20);
	for (unsigned i = 0; i < 2; i++)
		kept[i] = buffers_get(&buffers);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(read_rc(), -ENOMEM);
	for (unsigned i = 0; i < 2; i++)
		buffers_put(&buffers, kept[i]);
}

static void a_haul_of_deflated_messages_goes_in_one_write(void **state)
{
	struct message *m;
	struct packet answer = {.ver = 1, .op = 5, .body = (uint8_t *)"answer", .body_bytes = 6};
	struct haul h = {.answers = {&answer}, .n_answers = 1, .n_messages = HAUL_MESSAGES};
	char body[600], got[8192];
	size_t n;

	(void)state;
	memset(body, 'x', sizeof(body));
	assert_int_equal(message_new(1000, body, sizeof(body), &m), 0);
	open_deflated();
	for (unsigned i = 0; i < HAUL_MESSAGES; i++)
		h.messages[i] = m;
	/* A second call would fail. */
	seam_fail(SEAM_SENDMSG, 1, 1, EIO);
	assert_int_equal(ws->ops->write(ws, &h, DIALECT_V2, TRANSPORT_WAIT), 0);
	n = receive_bytes(got, sizeof(got));
	assert_true(n > 30 + HAUL_MESSAGES * 20 && n < 30 + HAUL_MESSAGES * 120);
	assert_memory_equal(got, "\xc2\x1c\0\x16\0\xe9\xff\0\0\0\x16", 11); /* the answer, in a stored block */
	assert_int_equal(got[29], '\0');
	assert_int_equal((uint8_t)got[30], 0x80 | WS_DEFLATED | WS_BINARY);
	message_unref(&m);
}

/* Who offers nothing, or offers it where it is off. */
static void without_an_agreement_nothing_is_deflated(void **state)
{
	char body[600], got[2048];
	struct message *m;

	(void)state;
	memset(body, 'x', sizeof(body));
	assert_int_equal(message_new(1000, body, sizeof(body), &m), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct haul h = {.messages = {m}, .n_messages = 1};

		takes_deflate = i == 0;
		again();
		if (i == 0)
			send_bytes(REQUEST "\r\n", strlen(REQUEST "\r\n"));
		else
			send_bytes(REQUEST OFFER "\r\n", strlen(REQUEST OFFER "\r\n"));
		send_packet(0, 0);
		assert_reads(0, 0);
		got[receive_bytes(got, sizeof(got) - 1)] = '\0';
		assert_null(strstr(got, "Extensions"));
		assert_int_equal(ws->ops->write(ws, &h, DIALECT_V1, TRANSPORT_WAIT), 0);
		assert_int_equal(receive_bytes(got, sizeof(got)), 4 + PACKET_HEAD_BYTES + sizeof(body));
		send_deflated(WS_BINARY, body, sizeof(body));
		assert_int_equal(read_rc(), -ERR_FRAME);
		assert_closes(1002);
	}
	message_unref(&m);
}

static void an_end_without_a_close_is_a_cut(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 10; n += 5) {
		open_up();
		send_bytes("\x82\x90mask12345", n);
		assert_int_equal(shutdown(peer, SHUT_WR), 0);
		assert_int_equal(read_rc(), -ERR_CUT);
		again();
	}
}

static void without_memory_it_says_so(void **state)
{
	uint8_t *kept = buffers_get(&buffers);

	(void)state;
	send_bytes(REQUEST "\r\n", strlen(REQUEST "\r\n"));
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(read_rc(), -ENOMEM);
	buffers_put(&buffers, kept);
	send_packet(1, 1);
	assert_reads(1, 1);
	send_frame(0x80 | WS_PING, "x", 1);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(read_rc(), -ENOMEM);
}

/* ---- writing ---- */

static void a_haul_goes_in_one_write(void **state)
{
	struct message *m;
	struct packet answer = {.ver = 1, .op = 5, .body = (uint8_t *)"answer", .body_bytes = 6};
	struct haul h = {.n_answers = HAUL_ANSWERS, .n_messages = HAUL_MESSAGES};
	uint8_t got[4096];

	(void)state;
	assert_int_equal(message_new(1000, "message", 7, &m), 0);
	open_up();
	for (unsigned i = 0; i < HAUL_ANSWERS; i++)
		h.answers[i] = &answer;
	for (unsigned i = 0; i < HAUL_MESSAGES; i++)
		h.messages[i] = m;
	/* A second call would fail. */
	seam_fail(SEAM_SENDMSG, 1, 1, EIO);
	assert_int_equal(ws->ops->write(ws, &h, DIALECT_V2, TRANSPORT_WAIT), 0);
	assert_int_equal(receive_bytes(got, sizeof(got)), HAUL_ANSWERS * 24 + 4 + 16 + HAUL_MESSAGES * 23);
	message_unref(&m);
}

static void a_write_that_was_left_goes_on(void **state)
{
	static const char wanted[] = "\x82\x36\0\0\0\x36\0\x10\0\x01\0\0\0\x09\0\0\0\0"
				     "\0\0\0\x13\0\x10\0\x01\0\0\x03\xe8\0\0\0\0one"
				     "\0\0\0\x13\0\x10\0\x01\0\0\x03\xe8\0\0\0\0one"
				     "\x82\x23\0\0\0\x23\0\x10\0\x01\0\0\0\x09\0\0\0\0"
				     "\0\0\0\x13\0\x10\0\x01\0\0\x03\xe8\0\0\0\0one"
				     "\x82\x10\0\0\0\x10\0\x10\0\x01\0\0\0\x03\0\0\0\x05";
	struct message *m;
	struct packet p = {.ver = 1, .op = 3, .seq = 5};
	struct haul h = {.n_messages = 2};

	(void)state;
	assert_int_equal(message_new(1000, "one", 3, &m), 0);
	open_up();
	h.messages[0] = h.messages[1] = m;
	seam_limit_bytes(18 + 19 + 2); /* in the second message */
	seam_fail(SEAM_SENDMSG, 1, 1, EAGAIN);
	assert_int_equal(ws->ops->write(ws, &h, DIALECT_V2, TRANSPORT_NOW), -EAGAIN);
	assert_int_equal(h.messages_done, 0); /* of a frame that is not whole the client has nothing */
	assert_int_equal(h.begun_bytes, 18 + 19 + 2);
	seam_reset();
	h = (struct haul){.answers = {&p},
			  .n_answers = 1,
			  .messages = {m, m, m},
			  .n_messages = 3,
			  .messages_first = true,
			  .skip_bytes = h.begun_bytes};
	assert_int_equal(ws->ops->write(ws, &h, DIALECT_V2, TRANSPORT_NOW), 0);
	assert_receives(wanted, sizeof(wanted) - 1);
	message_unref(&m);
}

/* Into the middle of a frame nothing is said: neither a packet nor a close frame. */
static void a_goodbye_does_not_tear_a_frame(void **state)
{
	struct packet p = {.ver = 1, .op = 3, .seq = 5};

	(void)state;
	open_up();
	seam_limit_bytes(5);
	seam_fail(SEAM_SENDMSG, 1, 1, EAGAIN);
	assert_int_equal(transport_write_packet(ws, &p, DIALECT_V2, TRANSPORT_WAIT), -ETIMEDOUT);
	assert_int_equal(transport_write_packet(ws, &p, DIALECT_V2, TRANSPORT_WAIT), -EPIPE);
	ws->ops->finish_writing(ws, 1001, "draining", TRANSPORT_WAIT);
	assert_receives("\x82\x10\0\0\0", 5);
}

static void *read_in_thread(void *arg)
{
	*(int *)arg = read_rc();
	return NULL;
}

static void a_shutdown_ends_a_read_that_waits(void **state)
{
	pthread_t reader;
	int rc = 0;

	(void)state;
	open_up();
	assert_int_equal(pthread_create(&reader, NULL, read_in_thread, &rc), 0);
	ws->ops->shutdown(ws);
	assert_int_equal(pthread_join(reader, NULL), 0);
	assert_int_equal(rc, -ERR_CUT);
}

/* ---- pings ---- */

static void open_with_a_clock_that_stands(void)
{
	seam_clock_set(1000 * CLOCK_SEC, 0);
	open_up();
}

static int64_t ping_due_in(void)
{
	return transport_ping_due_ns(ws) - clock_now_ns();
}

static void assert_pinged(void)
{
	static const uint8_t ping[] = {0x89, 0};
	uint8_t got[8];

	assert_int_equal(recv(peer, got, sizeof(got), MSG_DONTWAIT), sizeof(ping));
	assert_memory_equal(got, ping, sizeof(ping));
}

static void a_silent_peer_is_pinged_and_lost_when_it_stays_silent(void **state)
{
	(void)state;
	assert_int_equal(transport_ping_due_ns(ws), INT64_MAX);
	open_with_a_clock_that_stands();
	assert_in_range(ping_due_in(), 40 * CLOCK_SEC, 50 * CLOCK_SEC);
	seam_clock_advance(50 * CLOCK_SEC);
	assert_int_equal(transport_ping(ws), 0);
	assert_pinged();
	assert_int_equal(ping_due_in(), 20 * CLOCK_SEC);
	seam_clock_advance(20 * CLOCK_SEC);
	assert_int_equal(transport_ping(ws), -ETIMEDOUT);
}

static void whatever_comes_is_a_sign_of_life(void **state)
{
	struct packet p;

	(void)state;
	open_with_a_clock_that_stands();
	seam_clock_advance(50 * CLOCK_SEC);
	assert_int_equal(transport_ping(ws), 0);
	seam_clock_advance(19 * CLOCK_SEC);
	send_frame(0x8a, "", 0);
	assert_int_equal(transport_read(ws, &p), 0);
	assert_int_equal(p.kind, PACKET_NOTHING);
	assert_in_range(ping_due_in(), 40 * CLOCK_SEC, 50 * CLOCK_SEC);
	seam_clock_advance(50 * CLOCK_SEC);
	send_packet(1, 10);
	assert_int_equal(transport_ping(ws), -EAGAIN); /* it has come, and is not read */
	assert_int_equal(transport_read(ws, &p), 0);
	assert_in_range(ping_due_in(), 40 * CLOCK_SEC, 50 * CLOCK_SEC);
}

static void a_full_socket_takes_no_ping(void **state)
{
	static const uint8_t much[65536];

	(void)state;
	open_with_a_clock_that_stands();
	while (send(ws_fd, much, sizeof(much), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(transport_ping(ws), -EAGAIN);
}

static void a_ping_that_did_not_go_whole_is_the_last_thing_written(void **state)
{
	struct packet p = {.op = 5};

	(void)state;
	open_with_a_clock_that_stands();
	seam_fail(SEAM_SENDMSG, 0, 1, EAGAIN);
	assert_int_equal(transport_ping(ws), -EPIPE);
	assert_int_equal(transport_ping(ws), -EAGAIN);
	assert_int_equal(transport_write_packet(ws, &p, DIALECT_V2, TRANSPORT_NOW), -EPIPE);
}

static void pings_are_spread(void **state)
{
	int64_t least = INT64_MAX, most = 0;

	(void)state;
	open_with_a_clock_that_stands();
	for (unsigned i = 0; i < 100; i++) {
		struct packet p;

		seam_clock_advance(12345);
		send_frame(0x8a, "", 0);
		assert_int_equal(transport_read(ws, &p), 0);
		least = ping_due_in() < least ? ping_due_in() : least;
		most = ping_due_in() > most ? ping_due_in() : most;
	}
	assert_in_range(least, 40 * CLOCK_SEC, 42 * CLOCK_SEC);
	assert_in_range(most, 48 * CLOCK_SEC, 50 * CLOCK_SEC);
}

static void without_pings_none_is_due(void **state)
{
	(void)state;
	pings.every_ns = 0;
	open_up();
	assert_int_equal(transport_ping_due_ns(ws), INT64_MAX);
}

static void without_memory_the_descriptor_stays_the_callers(void **state)
{
	const struct sockaddr_in address = {.sin_family = AF_INET};
	const struct ws_options opt = {.max_body = MAX_BODY};
	struct transport *t = NULL;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(ws_new(peer, (const struct sockaddr *)&address, &buffers, &opt, &t), -ENOMEM);
	assert_null(t);
	assert_int_not_equal(fcntl(peer, F_GETFD), -1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_request_may_come_in_pieces_of_any_size),
		test(who_has_not_asked_yet_holds_no_buffer),
		test(a_request_that_is_none_is_answered_and_no_more),
		test(a_page_is_let_in_by_its_origin),
		test(a_silent_peer_is_pinged_and_lost_when_it_stays_silent),
		test(whatever_comes_is_a_sign_of_life),
		test(a_full_socket_takes_no_ping),
		test(a_ping_that_did_not_go_whole_is_the_last_thing_written),
		test(pings_are_spread),
		test(without_pings_none_is_due),
		test(who_leaves_in_the_handshake_is_cut),
		test(who_has_not_asked_is_told_to_go_in_http),
		test(the_longest_goodbye_comes_whole),
		test(an_answer_that_does_not_go_ends_it),
		test(with_parking_no_thread_waits_for_who_takes_no_answer),
		test(packets_of_all_sizes_are_read_in_pieces_of_any_size),
		test(it_holds_no_buffer_while_it_waits),
		test(fragments_and_pings_are_told_one_by_one),
		cmocka_unit_test_setup_teardown(behind_the_longest_message_there_is_space_for_a_ping,
						set_up_for_long_bodies, tear_down),
		test(a_message_may_have_several_packets_and_a_rest),
		test(a_message_that_is_no_packet_is_refused),
		test(text_is_packets_as_json),
		test(packets_may_come_as_text),
		test(what_is_forbidden_ends_it_with_its_code),
		cmocka_unit_test_setup_teardown(deflated_packets_are_read_and_nothing_is_held_afterwards,
						set_up_to_deflate, tear_down),
		cmocka_unit_test_setup_teardown(deflated_text_is_json_or_packets, set_up_to_deflate, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_deflated_well_ends_it_with_its_code, set_up_to_deflate,
						tear_down),
		cmocka_unit_test_setup_teardown(a_haul_of_deflated_messages_goes_in_one_write, set_up_to_deflate,
						tear_down),
		cmocka_unit_test_setup_teardown(without_an_agreement_nothing_is_deflated, set_up_to_deflate, tear_down),
		test(an_end_without_a_close_is_a_cut),
		test(without_memory_it_says_so),
		test(a_haul_goes_in_one_write),
		test(a_write_that_was_left_goes_on),
		test(a_goodbye_does_not_tear_a_frame),
		test(a_shutdown_ends_a_read_that_waits),
		test(without_memory_the_descriptor_stays_the_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
