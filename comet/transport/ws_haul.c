/* ws_haul: see ws_haul.h. SPDX-License-Identifier: MIT */
#include "comet/transport/ws_haul.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/v1_json.h"
#include "comet/transport/ws_deflate.h"
#include "common/base/obj.h"

static void lay(struct ws_layout *l, const void *bytes, size_t n)
{
	if (n == 0)
		return;
	l->iov[l->n++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};
	l->frames[l->n_frames].bytes += n;
}

/* The space for its header. */
static uint8_t *begin_frame(struct ws_layout *l, unsigned messages)
{
	struct ws_laid *frame = &l->frames[l->n_frames];

	frame->bytes = 0;
	frame->messages = (uint8_t)messages;
	return frame->head;
}

/* The header of a frame with so many bytes, and of the block that they are. */
static size_t put_head(const struct ws_layout *l, uint8_t *head, enum ws_opcode opcode, uint64_t payload_bytes)
{
	uint16_t n = (uint16_t)payload_bytes;
	size_t at;

	if (l->window_bytes == 0 || payload_bytes > WS_STORED_MAX)
		return ws_head_put(head, opcode, payload_bytes);
	at = ws_head_put(head, opcode, WS_STORED_HEAD_BYTES + payload_bytes + 1);
	head[0] |= WS_DEFLATED;
	memcpy(head + at, (uint8_t[]){0, (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)~n, (uint8_t)(~n >> 8)},
	       WS_STORED_HEAD_BYTES);
	return at + WS_STORED_HEAD_BYTES;
}

/* After put_head and its payload. Behind the block there is the beginning of an empty one: RFC 7692, section 7.2.1. */
static void end_frame(struct ws_layout *l)
{
	if (l->frames[l->n_frames].head[0] & WS_DEFLATED)
		lay(l, "", 1);
	l->n_frames++;
}

static void end_part(struct ws_layout *l)
{
	if (l->n > 0 && (l->n_ends == 0 || l->ends[l->n_ends - 1] < l->n))
		l->ends[l->n_ends++] = l->n;
}

/* ---- answers ---- */

static void lay_packet(struct ws_layout *l, const struct packet *p)
{
	uint8_t *head = begin_frame(l, 0);
	size_t n = put_head(l, head, WS_BINARY, PACKET_HEAD_BYTES + (uint64_t)p->body_bytes);

	packet_encode(head + n, p->ver, p->op, p->seq, p->body_bytes);
	lay(l, head, n + PACKET_HEAD_BYTES);
	lay(l, p->body, p->body_bytes);
	end_frame(l);
}

static void lay_pong(struct ws_layout *l, const struct packet *p)
{
	uint8_t *head = begin_frame(l, 0);

	lay(l, head, ws_head_put(head, WS_PONG, p->body_bytes));
	lay(l, p->body, p->body_bytes);
	end_frame(l);
}

/* An array of one, and a newline. Returns the byte after it. */
static uint8_t *lay_text(struct ws_layout *l, const struct packet *p, uint8_t *text)
{
	uint8_t *head = begin_frame(l, 0);
	size_t n = 1 + v1_json_put(text + 1, p, true);

	text[0] = '[';
	memcpy(text + n, "]\n", 2);
	n += 2;
	lay(l, head, put_head(l, head, WS_TEXT, n));
	lay(l, text, n);
	end_frame(l);
	return text + n;
}

static int get_text(struct ws_layout *l, const struct haul *h)
{
	size_t space = 0;

	for (unsigned i = 0; i < h->n_answers; i++)
		space += v1_json_max_bytes(h->answers[i]->body_bytes);
	return (l->text = malloc(space)) != NULL ? 0 : -ENOMEM;
}

static int lay_answers(struct ws_layout *l, const struct haul *h, bool is_text)
{
	uint8_t *text;
	int rc;

	if (is_text && h->n_answers > 0 && (rc = get_text(l, h)) < 0)
		return rc;
	text = l->text;
	for (unsigned i = 0; i < h->n_answers; i++) {
		const struct packet *p = h->answers[i];

		if (p->kind == PACKET_PING)
			lay_pong(l, p);
		else if (is_text)
			text = lay_text(l, p, text);
		else
			lay_packet(l, p);
	}
	end_part(l);
	return 0;
}

/* ---- messages ---- */

/* Of a message in its frame, without what stands between two. */
static size_t bytes_of(struct message *m, enum dialect dialect)
{
	const struct message_form *form;

	if (dialect != DIALECT_V1_JSON)
		return message_bytes(m, dialect);
	form = v1_json_of_message(m);
	return form != NULL ? form->bytes : 0;
}

static void lay_message(struct ws_layout *l, struct message *m, enum dialect dialect)
{
	struct message_piece pieces[MESSAGE_PIECES];
	unsigned n = 1;

	if (dialect == DIALECT_V1_JSON) {
		const struct message_form *form = v1_json_of_message(m); /* made by bytes_of */

		pieces[0] = (struct message_piece){form->data, form->bytes};
	} else {
		n = message_pieces(m, dialect, pieces);
	}
	for (unsigned i = 0; i < n; i++)
		lay(l, pieces[i].bytes, pieces[i].n);
}

/* The frame's header, and the bytes before its first message. */
static void lay_head(struct ws_layout *l, enum dialect dialect, size_t messages_bytes, unsigned n)
{
	uint8_t *head = begin_frame(l, n);
	size_t at;

	switch (dialect) {
	case DIALECT_V2: /* all of them in one packet */
	case DIALECT_V2S:
		at = put_head(l, head, WS_BINARY, PACKET_HEAD_BYTES + messages_bytes);
		packet_encode(head + at, 1, OP_RAW, 0, (uint32_t)messages_bytes);
		lay(l, head, at + PACKET_HEAD_BYTES);
		break;
	case DIALECT_V1:
		lay(l, head, put_head(l, head, WS_BINARY, messages_bytes));
		break;
	case DIALECT_V1_JSON: /* [a,b] */
		at = put_head(l, head, WS_TEXT, messages_bytes + n + 1);
		head[at] = '[';
		lay(l, head, at + 1);
		break;
	}
}

/* The payload of a frame that has only this message, deflated; NULL: it goes as it is, with others. The same each time. */
static const struct message_form *deflated(const struct ws_layout *l, struct message *m, enum dialect dialect)
{
	return l->window_bytes > 0 ? ws_deflated(m, dialect, l->window_bytes) : NULL;
}

/* How many of the messages from here on go into the next frame as they are, and how long they are: at least one. 0: no memory. */
static unsigned next_frame(const struct ws_layout *l, struct message *const *messages, unsigned n, enum dialect dialect,
			   size_t *messages_bytes)
{
	/* With what goes around them they are one block. */
	size_t most = l->window_bytes > 0 ? WS_STORED_MAX - PACKET_HEAD_BYTES - HAUL_MESSAGES - 1 : WS_HAUL_FRAME_BYTES;
	unsigned i = 0;

	for (*messages_bytes = 0; i < n && (i == 0 || deflated(l, messages[i], dialect) == NULL); i++) {
		size_t more = bytes_of(messages[i], dialect);

		if (more == 0)
			return 0;
		if (i > 0 && *messages_bytes + more > most)
			break;
		*messages_bytes += more;
	}
	return i;
}

static void lay_frame(struct ws_layout *l, struct message *const *messages, unsigned n, enum dialect dialect,
		      size_t messages_bytes)
{
	lay_head(l, dialect, messages_bytes, n);
	for (unsigned i = 0; i < n; i++) {
		if (i > 0 && dialect == DIALECT_V1_JSON)
			lay(l, ",", 1);
		lay_message(l, messages[i], dialect);
	}
	if (dialect == DIALECT_V1_JSON)
		lay(l, "]", 1);
	end_frame(l);
	end_part(l);
}

static void lay_deflated(struct ws_layout *l, const struct message_form *form, enum dialect dialect)
{
	uint8_t *head = begin_frame(l, 1);
	size_t n = ws_head_put(head, dialect == DIALECT_V1_JSON ? WS_TEXT : WS_BINARY, form->bytes);

	head[0] |= WS_DEFLATED;
	lay(l, head, n);
	lay(l, form->data, form->bytes);
	l->n_frames++;
	end_part(l);
}

static int lay_messages(struct ws_layout *l, const struct haul *h, enum dialect dialect, unsigned begun)
{
	for (unsigned at = 0, n; at < h->n_messages; at += n) {
		const struct message_form *form = deflated(l, h->messages[at], dialect);
		unsigned most = at == 0 && begun > 0 ? begun : h->n_messages - at;
		size_t bytes;

		BUG_UNLESS(most <= h->n_messages);
		if (form != NULL) {
			lay_deflated(l, form, dialect);
			n = 1;
			continue;
		}
		if ((n = next_frame(l, &h->messages[at], most, dialect, &bytes)) == 0)
			return -ENOMEM;
		lay_frame(l, &h->messages[at], n, dialect, bytes);
	}
	return 0;
}

/* ---- both ---- */

int ws_haul_lay(struct ws_layout *l, const struct haul *h, enum dialect dialect, bool is_text, unsigned begun)
{
	int rc;

	l->n = 0;
	l->n_ends = 0;
	l->n_frames = 0;
	l->text = NULL;
	if (is_text)
		dialect = DIALECT_V1_JSON;
	rc = h->messages_first ? lay_messages(l, h, dialect, begun) : lay_answers(l, h, is_text);
	if (rc < 0)
		return rc;
	return h->messages_first ? lay_answers(l, h, is_text) : lay_messages(l, h, dialect, begun);
}

unsigned ws_haul_account(struct ws_layout *l, struct haul *h, size_t written)
{
	unsigned i = 0;

	h->answers_done = 0;
	h->messages_done = 0;
	for (; i < l->n_frames && written >= l->frames[i].bytes; i++) {
		written -= l->frames[i].bytes;
		h->answers_done += l->frames[i].messages == 0;
		h->messages_done += l->frames[i].messages;
	}
	h->begun_bytes = written;
	free(l->text);
	l->text = NULL;
	return written > 0 && i < l->n_frames ? l->frames[i].messages : 0;
}
