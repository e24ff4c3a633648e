/* bench_wire: see bench_wire.h. Pure. SPDX-License-Identifier: MIT */
#include "bench/bench_wire.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/base/err.h"
#include "common/base/obj.h"

/* TCP: packets one after another */

static size_t tcp_wrap(uint8_t *out, int32_t op, int32_t seq, const void *body, uint32_t body_bytes)
{
	BUG_UNLESS(PACKET_HEAD_BYTES + (size_t)body_bytes <= BENCH_WIRE_WRAP_BYTES);
	packet_encode(out, 1, op, seq, body_bytes);
	if (body_bytes > 0)
		memcpy(out + PACKET_HEAD_BYTES, body, body_bytes);
	return PACKET_HEAD_BYTES + (size_t)body_bytes;
}

static ssize_t tcp_feed(uint8_t *bytes, size_t n, const struct bench_wire_sink *sink)
{
	size_t done = 0;

	while (n - done >= PACKET_HEAD_BYTES) {
		struct packet p;
		int rc = packet_decode(bytes + done, BENCH_WIRE_BODY_MAX, &p);

		if (rc < 0)
			return rc;
		if (n - done < PACKET_HEAD_BYTES + (size_t)p.body_bytes)
			break;
		p.body = bytes + done + PACKET_HEAD_BYTES;
		if ((rc = sink->packet(sink->arg, &p)) < 0)
			return rc;
		done += PACKET_HEAD_BYTES + (size_t)p.body_bytes;
	}
	return (ssize_t)done;
}

/* WebSocket: packets in binary messages, pushes wrapped in op 9 (RFC 6455; docs/protocol.md) */

#define WS_HELLO_MAX 16384 /* longest answer to the hello */
#define WS_HEAD_MAX  8     /* of a frame of ours: 2, 2 for the length, 4 for the mask */

enum ws_opcode { WS_CONTINUATION = 0, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

#define WS_DEFLATED 0x40 /* in the first byte of a message (RFC 7692) */

struct ws_frame {
	bool fin, deflated;
	unsigned opcode;
	uint8_t *payload;
	size_t payload_bytes;
};

static size_t put_hello(char *out, size_t out_bytes, const char *host, const char *port, const char *more)
{
	/* The key is to tell a WebSocket server from others; we do not check what it makes of it. */
	int n = snprintf(out, out_bytes,
			 "GET /sub HTTP/1.1\r\nHost: %.255s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			 "Sec-WebSocket-Key: Y29tZXQtY2xpIGJlbmNoIQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
			 host, port, more);

	BUG_UNLESS(n > 0 && (size_t)n < out_bytes);
	return (size_t)n;
}

static size_t ws_hello(char *out, size_t out_bytes, const char *host, const char *port)
{
	return put_hello(out, out_bytes, host, port, "");
}

static size_t ws_hello_deflate(char *out, size_t out_bytes, const char *host, const char *port)
{
	return put_hello(out, out_bytes, host, port,
			 "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n");
}

static ssize_t ws_welcome(const uint8_t *bytes, size_t n)
{
	const uint8_t *end = memmem(bytes, n, "\r\n\r\n", 4);

	if (end == NULL)
		return n < WS_HELLO_MAX ? 0 : -EPROTO;
	if (n < 12 || memcmp(bytes, "HTTP/1.1 101", 12) != 0)
		return -EPROTO;
	return end - bytes + 4;
}

/* A server that does not compress would spoil the measurement. */
static ssize_t ws_welcome_deflate(const uint8_t *bytes, size_t n)
{
	static const char agreed[] = "\r\nSec-WebSocket-Extensions: permessage-deflate";
	ssize_t end = ws_welcome(bytes, n);

	return end <= 0 || memmem(bytes, (size_t)end, agreed, sizeof(agreed) - 1) != NULL ? end : -EPROTO;
}

/* A frame around these bytes. */
static size_t ws_frame(uint8_t *out, unsigned opcode, const uint8_t *payload, size_t payload_bytes)
{
	/* Masks must be hard to guess where a script in a browser chooses the payload. Ours is not chosen by anybody; any
	 * mask but zero costs the server the same. */
	static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	size_t head = payload_bytes < 126 ? 2 : 4;

	BUG_UNLESS(payload_bytes + WS_HEAD_MAX <= BENCH_WIRE_WRAP_BYTES);
	memcpy(out + head + 4, payload, payload_bytes);
	out[0] = (uint8_t)(0x80 | opcode);
	out[1] = (uint8_t)(0x80 | (payload_bytes < 126 ? payload_bytes : 126));
	if (head == 4) {
		out[2] = (uint8_t)(payload_bytes >> 8);
		out[3] = (uint8_t)payload_bytes;
	}
	memcpy(out + head, mask, 4);
	for (size_t i = 0; i < payload_bytes; i++)
		out[head + 4 + i] ^= mask[i % 4];
	return head + 4 + payload_bytes;
}

static size_t ws_wrap(uint8_t *out, int32_t op, int32_t seq, const void *body, uint32_t body_bytes)
{
	uint8_t packet[BENCH_WIRE_WRAP_BYTES];
	size_t n = tcp_wrap(packet, op, seq, body, body_bytes);

	return ws_frame(out, WS_BINARY, packet, n);
}

static size_t ws_pong(uint8_t *out, const uint8_t *payload, size_t payload_bytes)
{
	return ws_frame(out, WS_PONG, payload, payload_bytes);
}

/* The frame at bytes: its length, 0 if it is not whole, or -EPROTO, -ERR_PACKET_BODY. */
static ssize_t ws_read_frame(uint8_t *bytes, size_t n, struct ws_frame *f)
{
	size_t head = 2;
	uint64_t len;

	if (n < head)
		return 0;
	len = bytes[1] & 0x7f;
	/* A server does not mask. */
	if ((bytes[0] & 0x70 & ~WS_DEFLATED) != 0 || (bytes[1] & 0x80) != 0 ||
	    ((bytes[0] & 8) != 0 && len > BENCH_WIRE_PING_BYTES))
		return -EPROTO;
	head += len == 126 ? 2 : len == 127 ? 8 : 0;
	if (n < head)
		return 0;
	if (head > 2) {
		len = 0;
		for (size_t i = 2; i < head; i++)
			len = len << 8 | bytes[i];
	}
	if (len > BENCH_WIRE_BODY_MAX)
		return -ERR_PACKET_BODY;
	if (n - head < len)
		return 0;
	*f = (struct ws_frame){(bytes[0] & 0x80) != 0, (bytes[0] & WS_DEFLATED) != 0, bytes[0] & 0xf, bytes + head,
			       len};
	return (ssize_t)(head + len);
}

/* Packets inside a wrapper go to the sink behind it. */
static int ws_unwrap(void *arg, const struct packet *p)
{
	const struct bench_wire_sink *sink = arg;
	ssize_t done;

	if (p->op != OP_RAW)
		return sink->packet(sink->arg, p);
	done = tcp_feed(p->body, p->body_bytes, sink);
	if (done < 0)
		return (int)done;
	return done == (ssize_t)p->body_bytes ? 0 : -ERR_PACKET_LENGTH;
}

static int ws_take_packets(uint8_t *bytes, size_t n, const struct bench_wire_sink *sink)
{
	struct bench_wire_sink outer = {.packet = ws_unwrap, .arg = (void *)sink};
	ssize_t done = tcp_feed(bytes, n, &outer);

	if (done < 0)
		return (int)done;
	return done == (ssize_t)n ? 0 : -ERR_PACKET_LENGTH;
}

/* The space is the process's, which has one thread: kept until its end. */
static int ws_take_deflated(uint8_t *bytes, size_t n, const struct bench_wire_sink *sink)
{
	static uint8_t *plain;
	z_stream z = {.next_in = bytes, .avail_in = (uInt)n};
	int rc;

	if (plain == NULL && (plain = malloc(BENCH_WIRE_BODY_MAX)) == NULL)
		return -ENOMEM;
	z.next_out = plain;
	z.avail_out = BENCH_WIRE_BODY_MAX;
	if ((rc = inflateInit2(&z, -MAX_WBITS)) == Z_OK) {
		rc = inflate(&z, Z_SYNC_FLUSH);
		(void)inflateEnd(&z);
	}
	if (rc == Z_MEM_ERROR)
		return -ENOMEM;
	return rc == Z_OK && z.avail_in == 0 ? ws_take_packets(plain, z.total_out, sink) : -EPROTO;
}

static int ws_take_control(const struct ws_frame *f, const struct bench_wire_sink *sink)
{
	if (f->opcode == WS_CLOSE)
		return -ERR_EOF;
	return f->opcode == WS_PING ? sink->ping(sink->arg, f->payload, f->payload_bytes) : 0;
}

static bool ws_is_control(const struct ws_frame *f)
{
	return (f->opcode & 8) != 0;
}

/* How long the message at bytes is, over all its frames and the control frames between them; or one control frame. 0 if
 * it is not whole. */
static ssize_t ws_message_bytes(uint8_t *bytes, size_t n)
{
	struct ws_frame f;
	size_t end = 0;
	ssize_t one;

	do {
		if ((one = ws_read_frame(bytes + end, n - end, &f)) <= 0)
			return one;
		end += (size_t)one;
	} while (ws_is_control(&f) ? end > (size_t)one : !f.fin);
	return (ssize_t)end;
}

/* Take a message that is whole: its fragments move together, in place. */
static int ws_take_message(uint8_t *bytes, size_t n, const struct bench_wire_sink *sink)
{
	uint8_t *payload = NULL;
	size_t payload_bytes = 0;
	bool deflated = false;
	struct ws_frame f;
	int rc;

	for (size_t at = 0; at < n;) {
		ssize_t one = ws_read_frame(bytes + at, n - at, &f);

		BUG_UNLESS(one > 0); /* ws_message_bytes has found it whole */
		at += (size_t)one;
		if (ws_is_control(&f)) {
			if ((rc = ws_take_control(&f, sink)) < 0)
				return rc;
			continue;
		}
		if (f.opcode != (payload == NULL ? WS_BINARY : WS_CONTINUATION))
			return -EPROTO;
		if (payload == NULL) {
			payload = f.payload;
			deflated = f.deflated;
		}
		memmove(payload + payload_bytes, f.payload, f.payload_bytes);
		payload_bytes += f.payload_bytes;
	}
	if (payload == NULL)
		return 0;
	return deflated ? ws_take_deflated(payload, payload_bytes, sink)
			: ws_take_packets(payload, payload_bytes, sink);
}

static ssize_t ws_feed(uint8_t *bytes, size_t n, const struct bench_wire_sink *sink)
{
	size_t done = 0;

	while (done < n) {
		ssize_t one = ws_message_bytes(bytes + done, n - done);
		int rc = one > 0 ? ws_take_message(bytes + done, (size_t)one, sink) : (int)one;

		if (rc < 0)
			return rc;
		if (one == 0)
			break;
		done += (size_t)one;
	}
	return (ssize_t)done;
}

static const struct bench_wire wires[] = {
	{.name = "tcp", .port = 3101, .wrap = tcp_wrap, .feed = tcp_feed},
	{.name = "tls", .tls = true, .wrap = tcp_wrap, .feed = tcp_feed},
	{
		.name = "ws",
		.port = 3102,
		.hello = ws_hello,
		.welcome = ws_welcome,
		.wrap = ws_wrap,
		.pong = ws_pong,
		.feed = ws_feed,
	},
	{
		.name = "wss",
		.port = 3103,
		.tls = true,
		.hello = ws_hello,
		.welcome = ws_welcome,
		.wrap = ws_wrap,
		.pong = ws_pong,
		.feed = ws_feed,
	},
	{
		.name = "ws-deflate",
		.port = 3102,
		.hello = ws_hello_deflate,
		.welcome = ws_welcome_deflate,
		.wrap = ws_wrap,
		.pong = ws_pong,
		.feed = ws_feed,
	},
};

const struct bench_wire *bench_wire_find(const char *name)
{
	for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++)
		if (strcmp(name, wires[i].name) == 0)
			return &wires[i];
	return NULL;
}
