/* Fuzzes ws_link, where pieces of WebSocket messages become packets, and answers and pushes become frames. The input is a
 * list of steps: pieces as a service thread would hand them over, reads, writes, an end. Packets lie inside what was sent, no
 * byte is made up, and frames are whole. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/ws_link.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/obj.h"
#include "common/base/utf8.h"

#define MAX_BODY 300
#define FRONT    16
#define PIECES   64 /* of one input, so that it ends */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum step { STEP_PIECE, STEP_READ, STEP_ANSWER, STEP_PUSH, STEP_FRAME, STEP_FINISH, STEP_END, STEP_WRITTEN, STEP_MAX };

struct input {
	const uint8_t *at;
	size_t left;
};

struct scene {
	struct ws_link *link;
	struct transport *t;
	struct ws_frame frame;
	bool in_message; /* a message has begun, of this kind */
	bool is_text;
	bool refused; /* as a service thread stops handing over */
	size_t sent;  /* bytes of messages, whole or not */
	enum dialect dialect;
};

static unsigned take(struct input *in, unsigned below)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++ % below;
}

static void ask(void *service, struct ws_link *link)
{
	(void)service;
	(void)link;
}

static void piece(struct scene *s, struct input *in)
{
	unsigned how = take(in, 8);
	bool last = how & 1, first = !s->in_message;
	size_t n = take(in, 256), rest = how & 4 ? take(in, 200) : 0;
	uint8_t *exact;
	int rc;

	if (s->refused)
		return;
	if (n > in->left)
		n = in->left;
	if (first)
		s->is_text = how & 2;
	/* Of its exact size, so that a read beyond it is seen. */
	exact = malloc(n > 0 ? n : 1);
	BUG_UNLESS(exact != NULL);
	memcpy(exact, in->at, n);
	in->at += n;
	in->left -= n;
	s->sent += n;
	rc = ws_link_receive(s->link, exact, n, first, last && rest == 0, s->is_text, rest);
	free(exact);
	BUG_UNLESS(rc <= 1);
	s->in_message = !(last && rest == 0);
	s->refused = rc != 0; /* 1: the inbox is full, and lws reads no more until it is asked to */
}

static void read_one(struct scene *s)
{
	struct packet p;
	int rc;

	if (!transport_has_packet(s->t))
		return;
	rc = transport_read(s->t, &p);
	if (rc == 0) {
		BUG_UNLESS(p.body_bytes <= MAX_BODY && p.body_bytes <= s->sent);
		BUG_UNLESS(p.body_bytes == 0 || p.body != NULL);
		for (uint32_t i = 0; i < p.body_bytes; i++) /* every byte of it can be read */
			BUG_UNLESS(p.body[i] <= UINT8_MAX);
	}
	if (ws_link_wishes(s->link) & WS_WISH_READ)
		s->refused = false;
}

static void write_one(struct scene *s, struct input *in, bool is_push)
{
	uint8_t body[64];
	unsigned n = take(in, sizeof(body));
	struct packet p = {.op = 3, .ver = 1, .seq = (int32_t)take(in, 256), .body = body, .body_bytes = n};
	struct message *m = NULL;
	struct haul h = {0};
	int rc;

	for (unsigned i = 0; i < n; i++)
		body[i] = (uint8_t)take(in, 256);
	if (is_push) {
		BUG_UNLESS(message_new(1000, body, n, &m) == 0);
		h.messages[h.n_messages++] = m;
	} else {
		h.answers[h.n_answers++] = &p;
	}
	ws_link_set_choked(s->link, true); /* a full outbox is full: nobody makes room meanwhile */
	rc = transport_write(s->t, &h, s->dialect, TRANSPORT_NOW);
	BUG_UNLESS(rc == 0 || rc == -EAGAIN || rc == -EPIPE || rc == -ETIMEDOUT);
	BUG_UNLESS((rc == 0) == (h.answers_done + h.messages_done == 1));
	if (m != NULL)
		message_unref(&m);
}

/* The bytes of packets one after another, all of them whole. */
static void must_be_packets(const uint8_t *at, size_t left)
{
	while (left > 0) {
		struct packet p;

		BUG_UNLESS(left >= PACKET_HEAD_BYTES && packet_decode(at, INT32_MAX - 32, &p) == 0);
		BUG_UNLESS(left - PACKET_HEAD_BYTES >= p.body_bytes);
		at += PACKET_HEAD_BYTES + (size_t)p.body_bytes;
		left -= PACKET_HEAD_BYTES + (size_t)p.body_bytes;
	}
}

static void next_frame(struct scene *s)
{
	const uint8_t *payload;
	json_t *said;

	if (ws_link_next_frame(s->link, FRONT, &s->frame) != WS_NEXT_FRAME)
		return;
	payload = s->frame.data + FRONT;
	BUG_UNLESS(FRONT + s->frame.bytes <= s->frame.room && s->frame.bytes > 0);
	if (!s->frame.is_text) {
		must_be_packets(payload, s->frame.bytes);
		return;
	}
	BUG_UNLESS(utf8_is_valid(payload, s->frame.bytes));
	said = json_read(payload, s->frame.bytes, 0);
	BUG_UNLESS(said == NULL || json_array_size(said) > 0); /* NULL: a body that nests too deep for us to read */
	json_decref(said);
}

static void play(struct scene *s, struct input *in)
{
	for (unsigned i = 0; i < PIECES && in->left > 0; i++)
		switch ((enum step)take(in, STEP_MAX)) {
		case STEP_READ:
			read_one(s);
			break;
		case STEP_ANSWER:
			write_one(s, in, false);
			break;
		case STEP_PUSH:
			write_one(s, in, true);
			break;
		case STEP_FRAME:
			next_frame(s);
			break;
		case STEP_FINISH:
			transport_finish_writing(s->t);
			break;
		case STEP_END:
			ws_link_end(s->link, take(in, 2) ? -ERR_CUT : 0);
			break;
		case STEP_WRITTEN:
			ws_link_frames_written(s->link);
			break;
		default:
			piece(s, in);
			break;
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const struct sockaddr_in peer = {.sin_family = AF_INET};
	const struct ws_link_options opt = {.max_body = MAX_BODY, .write_timeout_ns = 1, .ask = ask};
	struct input in = {data, bytes};
	struct scene s = {0};

	BUG_UNLESS(ws_link_new((const struct sockaddr *)&peer, &opt, &s.link, &s.t) == 0);
	s.dialect = take(&in, 2) ? DIALECT_V2 : DIALECT_V1;
	play(&s, &in);
	while (transport_has_packet(s.t)) {
		struct packet p;

		if (transport_read(s.t, &p) < 0)
			break;
	}
	transport_free(&s.t);
	ws_link_unref(&s.link);
	free(s.frame.data);
	return 0;
}
