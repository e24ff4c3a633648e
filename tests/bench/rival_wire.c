/* rival_wire: see rival_wire.h. SPDX-License-Identifier: MIT */
#include "tests/bench/rival_wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/packet.h"

static struct rival_seen seen(enum rival_event event, size_t bytes)
{
	return (struct rival_seen){.event = event, .bytes = bytes};
}

static struct rival_seen message(size_t head_bytes, const uint8_t *body, size_t n, size_t tail_bytes)
{
	return (struct rival_seen){RIVAL_MESSAGE, head_bytes + n + tail_bytes, body, n};
}

static size_t text(uint8_t *out, const char *words)
{
	size_t n = strlen(words);

	memcpy(out, words, n);
	return n;
}

/* ---- Comet's, which the floor speaks, too ---- */

static size_t packet(uint8_t *out, int32_t op, const char *body)
{
	size_t n = text(out + PACKET_HEAD_BYTES, body);

	packet_encode(out, 1, op, 1, (uint32_t)n);
	return PACKET_HEAD_BYTES + n;
}

static size_t comet_hello(uint8_t *out, int user)
{
	char token[160];

	(void)snprintf(
		token, sizeof(token),
		"{\"mid\":%d,\"key\":\"k%d\",\"room_id\":\"live://1000\",\"platform\":\"web\",\"accepts\":[1000]}",
		user, user);
	return packet(out, OP_AUTH, token);
}

static size_t comet_ping(uint8_t *out)
{
	return packet(out, OP_HEARTBEAT, "");
}

/* Of a packet of packets only the head is taken. */
static struct rival_seen comet_see(const uint8_t *bytes, size_t n)
{
	struct packet p;

	if (n < PACKET_HEAD_BYTES)
		return seen(RIVAL_INCOMPLETE, 0);
	if (packet_decode(bytes, 1u << 20, &p) < 0)
		return seen(RIVAL_STRANGE, 0);
	if (p.op == OP_RAW)
		return seen(RIVAL_NOTHING, PACKET_HEAD_BYTES);
	if (n < PACKET_HEAD_BYTES + p.body_bytes)
		return seen(RIVAL_INCOMPLETE, 0);
	if (p.op == OP_AUTH_REPLY || p.op == OP_HEARTBEAT_REPLY)
		return seen(p.op == OP_AUTH_REPLY ? RIVAL_UP : RIVAL_PONG, PACKET_HEAD_BYTES + p.body_bytes);
	return message(PACKET_HEAD_BYTES, bytes + PACKET_HEAD_BYTES, p.body_bytes, 0);
}

static size_t post(uint8_t *out, const char *path, const char *payload, size_t n)
{
	size_t head = (size_t)sprintf((char *)out, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %zu\r\n\r\n",
				      path, n);

	memcpy(out + head, payload, n);
	return head + n;
}

static size_t comet_publish(uint8_t *out, int user, const char *payload, size_t n)
{
	char path[80];

	if (user == RIVAL_ROOM)
		return post(out, "/goim/push/room?operation=1000&type=live&room=1000", payload, n);
	(void)snprintf(path, sizeof(path), "/goim/push/mids?operation=1000&mids=%d", user);
	return post(out, path, payload, n);
}

/* A line, then the payload. */
static size_t floor_publish(uint8_t *out, int user, const char *payload, size_t n)
{
	size_t head = user == RIVAL_ROOM ? (size_t)sprintf((char *)out, "R %zu\n", n)
					 : (size_t)sprintf((char *)out, "U %d %zu\n", user, n);

	memcpy(out + head, payload, n);
	return head + n;
}

/* ---- MQTT 3.1.1 ---- */

static size_t mqtt_text(uint8_t *out, const char *words)
{
	size_t n = text(out + 2, words);

	out[0] = (uint8_t)(n >> 8);
	out[1] = (uint8_t)n;
	return 2 + n;
}

/* A type and n bytes from out + 3 on, behind a length of two bytes. */
static size_t mqtt_packet(uint8_t *out, uint8_t type, size_t n)
{
	out[0] = type;
	out[1] = (uint8_t)(0x80 | (n & 0x7f));
	out[2] = (uint8_t)(n >> 7);
	return 3 + n;
}

static size_t mqtt_connect(uint8_t *out, const char *client)
{
	static const uint8_t clean_for_600_s[] = {4, 2, 2, 0x58};
	size_t n = 3;

	n += mqtt_text(out + n, "MQTT");
	memcpy(out + n, clean_for_600_s, sizeof(clean_for_600_s));
	n += sizeof(clean_for_600_s);
	n += mqtt_text(out + n, client);
	return mqtt_packet(out, 0x10, n - 3);
}

static size_t mqtt_subscribe(uint8_t *out, const char *topic)
{
	size_t n = 3;

	out[n++] = 0;
	out[n++] = 1;
	n += mqtt_text(out + n, topic);
	out[n++] = 0; /* at most once */
	return mqtt_packet(out, 0x82, n - 3);
}

static size_t mqtt_hello(uint8_t *out, int user)
{
	char name[24];
	size_t n;

	(void)snprintf(name, sizeof(name), "u/%d", user);
	n = mqtt_connect(out, name);
	n += mqtt_subscribe(out + n, "room");
	return n + mqtt_subscribe(out + n, name);
}

static size_t mqtt_publisher_hello(uint8_t *out)
{
	return mqtt_connect(out, ""); /* the server makes a name */
}

static size_t mqtt_ping(uint8_t *out)
{
	out[0] = 0xc0;
	out[1] = 0;
	return 2;
}

static size_t mqtt_publish(uint8_t *out, int user, const char *payload, size_t n)
{
	char topic[24] = "room";
	size_t head;

	if (user != RIVAL_ROOM)
		(void)snprintf(topic, sizeof(topic), "u/%d", user);
	head = mqtt_text(out + 3, topic);
	memcpy(out + 3 + head, payload, n);
	return mqtt_packet(out, 0x30, head + n);
}

static struct rival_seen mqtt_see(const uint8_t *bytes, size_t n)
{
	size_t rest = 0, head = 1, topic;

	do {
		if (head == n || head > 3)
			return seen(head > 3 ? RIVAL_STRANGE : RIVAL_INCOMPLETE, 0);
		rest |= (size_t)(bytes[head] & 0x7f) << 7 * (head - 1);
	} while ((bytes[head++] & 0x80) != 0);
	if (n < head + rest)
		return seen(RIVAL_INCOMPLETE, 0);
	switch (bytes[0] >> 4) {
	case 2: /* CONNACK */
	case 9: /* SUBACK */
		return seen(RIVAL_UP, head + rest);
	case 13:
		return seen(RIVAL_PONG, head + rest);
	case 3:
		topic = 2 + ((size_t)bytes[head] << 8 | bytes[head + 1]);
		return message(head + topic, bytes + head + topic, rest - topic, 0);
	default:
		return seen(RIVAL_STRANGE, 0);
	}
}

/* ---- NATS ---- */

static size_t nats_publisher_hello(uint8_t *out)
{
	return text(out, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
}

/* Its PONG says that all of it was read. */
static size_t nats_hello(uint8_t *out, int user)
{
	size_t n = nats_publisher_hello(out);

	return n + (size_t)sprintf((char *)out + n, "SUB room 1\r\nSUB u.%d 2\r\nPING\r\n", user);
}

static size_t nats_ping(uint8_t *out)
{
	return text(out, "PING\r\n");
}

static size_t nats_publish(uint8_t *out, int user, const char *payload, size_t n)
{
	size_t head = user == RIVAL_ROOM ? (size_t)sprintf((char *)out, "PUB room %zu\r\n", n)
					 : (size_t)sprintf((char *)out, "PUB u.%d %zu\r\n", user, n);

	memcpy(out + head, payload, n);
	return head + n + text(out + head + n, "\r\n");
}

/* The PING that it sends now and then may stay without an answer for minutes. */
static struct rival_seen nats_see(const uint8_t *bytes, size_t n)
{
	const uint8_t *end = memchr(bytes, '\n', n), *number = end;
	size_t line, body;

	if (end == NULL)
		return seen(RIVAL_INCOMPLETE, 0);
	line = (size_t)(end - bytes) + 1;
	if (bytes[0] == 'P')
		return seen(bytes[1] == 'O' ? RIVAL_PONG : RIVAL_NOTHING, line);
	if (bytes[0] == 'I')
		return seen(RIVAL_HELLO, line);
	if (bytes[0] != 'M')
		return seen(RIVAL_STRANGE, 0);
	while (number[-1] != ' ')
		number--;
	body = strtoul((const char *)number, NULL, 10);
	return n < line + body + 2 ? seen(RIVAL_INCOMPLETE, 0) : message(line, end + 1, body, 2);
}

/* ---- nchan: each message of WebSocket is one ---- */

static size_t nchan_publish(uint8_t *out, int user, const char *payload, size_t n)
{
	char path[40] = "/pub?id=room";

	if (user != RIVAL_ROOM)
		(void)snprintf(path, sizeof(path), "/pub?id=u%d", user);
	return post(out, path, payload, n);
}

/* ---- WebSocket ---- */

#define FRAME_PING 0x89
#define FRAME_PONG 0x8a

size_t rival_wire_request(const struct rival_wire *w, uint8_t *out, int user)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s%.0d", w->path, strchr(w->path, '=') != NULL ? user : 0);
	return (size_t)sprintf((char *)out,
			       "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
			       "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
			       path);
}

/* With a mask of zeros. */
size_t rival_wire_frame(const struct rival_wire *w, uint8_t *out, size_t n, const uint8_t **from)
{
	size_t head = n < 126 ? 6 : 8;
	uint8_t *frame = out + RIVAL_FRAME_BYTES - head;

	*from = out + RIVAL_FRAME_BYTES;
	if (!w->ws)
		return n;
	*from = frame;
	memset(frame, 0, head);
	frame[0] = w->see != NULL ? 0x82 : FRAME_PING; /* a client of nchan sends nothing else */
	frame[1] = (uint8_t)(0x80 | (n < 126 ? n : 126));
	if (n >= 126) {
		frame[2] = (uint8_t)(n >> 8);
		frame[3] = (uint8_t)n;
	}
	return head + n;
}

static struct rival_seen see_answer(const uint8_t *bytes, size_t n)
{
	const uint8_t *end = memmem(bytes, n, "\r\n\r\n", 4);

	if (end == NULL)
		return seen(RIVAL_INCOMPLETE, 0);
	if (memcmp(bytes, "HTTP/1.1 101", 12) != 0)
		return seen(RIVAL_STRANGE, 0);
	return seen(RIVAL_HELLO, (size_t)(end - bytes) + 4);
}

static struct rival_seen see_frame(const struct rival_wire *w, struct rival_reader *r, const uint8_t *bytes, size_t n)
{
	size_t head = n >= 2 && (bytes[1] & 0x7f) == 126 ? 4 : 2, body;

	if (n < head)
		return seen(RIVAL_INCOMPLETE, 0);
	body = head == 4 ? (size_t)bytes[2] << 8 | bytes[3] : bytes[1];
	if (n < head + body)
		return seen(RIVAL_INCOMPLETE, 0);
	if (body > UINT16_MAX || (bytes[0] & 0xf0) != 0x80 || (bytes[0] & 0xf) == 8)
		return seen(RIVAL_STRANGE, 0);
	if (bytes[0] >= FRAME_PING)
		return seen(bytes[0] == FRAME_PONG ? RIVAL_PONG : RIVAL_NOTHING, head + body);
	if (w->see == NULL)
		return message(head, bytes + head, body, 0);
	r->left = body;
	return seen(RIVAL_NOTHING, head);
}

struct rival_seen rival_wire_see(const struct rival_wire *w, struct rival_reader *r, const uint8_t *bytes, size_t n)
{
	struct rival_seen s;

	if (!w->ws)
		return w->see(bytes, n);
	if (!r->upgraded) {
		s = see_answer(bytes, n);
		r->upgraded = s.event == RIVAL_HELLO;
		return s;
	}
	if (r->left == 0)
		return see_frame(w, r, bytes, n);
	s = w->see(bytes, r->left);
	r->left -= s.bytes;
	return s;
}

/* ---- payloads ---- */

#define PAYLOAD_HEAD 38 /* what it says; the rest is x */

void rival_payload_write(const struct rival_payload *p, char text[RIVAL_PAYLOAD_BYTES])
{
	memset(text, 'x', RIVAL_PAYLOAD_BYTES);
	text[snprintf(text, RIVAL_PAYLOAD_BYTES, "@%02x %08x %016" PRIx64 " %08x", p->phase & 0xff, p->number,
		      (uint64_t)p->sent_ns, p->user)] = ' ';
}

bool rival_payload_read(const uint8_t *body, size_t n, struct rival_payload *p)
{
	char text[PAYLOAD_HEAD + 1];

	if (n != RIVAL_PAYLOAD_BYTES)
		return false;
	memcpy(text, body, PAYLOAD_HEAD);
	text[PAYLOAD_HEAD] = '\0';
	return sscanf(text, "@%02x %08x %016" SCNx64 " %08x", &p->phase, &p->number, (uint64_t *)&p->sent_ns,
		      &p->user) == 4;
}

/* ---- the table ---- */

static const struct rival_wire wires[] = {
	{"comet", false, NULL, 1, false, comet_hello, comet_ping, NULL, comet_publish, comet_see},
	{"comet-ws", true, "/sub", 1, false, comet_hello, comet_ping, NULL, comet_publish, comet_see},
	{"floor", false, NULL, 1, false, comet_hello, comet_ping, NULL, floor_publish, comet_see},
	{"floor-ws", true, "/sub", 1, false, comet_hello, comet_ping, NULL, floor_publish, comet_see},
	{"mosquitto", false, NULL, 3, false, mqtt_hello, mqtt_ping, mqtt_publisher_hello, mqtt_publish, mqtt_see},
	{"mosquitto-ws", true, "/mqtt", 3, false, mqtt_hello, mqtt_ping, mqtt_publisher_hello, mqtt_publish, mqtt_see},
	{"nats", false, NULL, 1, true, nats_hello, nats_ping, nats_publisher_hello, nats_publish, nats_see},
	{"nchan", true, "/sub?id=room&u=u", 0, false, NULL, NULL, NULL, nchan_publish, NULL},
};

const struct rival_wire *rival_wire_find(const char *name)
{
	for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++)
		if (strcmp(wires[i].name, name) == 0)
			return &wires[i];
	return NULL;
}
