/* ws_payload: see ws_payload.h. SPDX-License-Identifier: MIT */
#include "comet/transport/ws_payload.h"

#include <stdlib.h>
#include <string.h>

#include "comet/transport/v1_json.h"

/* ---- what is to be written ---- */

struct ws_block *ws_block_of_answer(const struct packet *p, bool is_text)
{
	size_t room = is_text ? v1_json_max_bytes(p->body_bytes) : PACKET_HEAD_BYTES + (size_t)p->body_bytes;
	struct ws_block *b = malloc(sizeof(*b) + room);

	if (b == NULL)
		return NULL;
	b->next = NULL;
	b->room = room;
	b->is_text = is_text;
	if (is_text) {
		b->data[0] = '[';
		b->bytes = 1 + v1_json_put(b->data + 1, p, true);
		memcpy(b->data + b->bytes, "]\n", 2);
		b->bytes += 2;
		return b;
	}
	packet_encode(b->data, p->ver, p->op, p->seq, p->body_bytes);
	if (p->body_bytes > 0)
		memcpy(b->data + PACKET_HEAD_BYTES, p->body, p->body_bytes);
	b->bytes = room;
	return b;
}

size_t ws_item_bytes(const struct ws_item *item)
{
	return item->answer != NULL ? item->answer->bytes : item->message->body_bytes;
}

void ws_item_drop(struct ws_item *item)
{
	free(item->answer);
	if (item->message != NULL)
		message_unref(&item->message);
}

/* ---- the payload ---- */

static bool reserve(struct ws_frame *frame, size_t front, size_t more)
{
	size_t need = front + frame->bytes + more, room = frame->room < 4096 ? 4096 : frame->room;
	uint8_t *data;

	if (need <= frame->room)
		return true;
	while (room < need)
		room *= 2;
	if ((data = realloc(frame->data, room)) == NULL)
		return false;
	frame->data = data;
	frame->room = room;
	return true;
}

static bool append(struct ws_frame *frame, size_t front, const void *bytes, size_t n)
{
	if (!reserve(frame, front, n))
		return false;
	if (n > 0)
		memcpy(frame->data + front + frame->bytes, bytes, n);
	frame->bytes += n;
	return true;
}

bool ws_frame_of_answer(struct ws_frame *frame, size_t front, const struct ws_block *answer)
{
	frame->bytes = 0;
	frame->is_text = answer->is_text;
	return append(frame, front, answer->data, answer->bytes);
}

static bool append_v1(struct ws_frame *frame, size_t front, const struct message *m)
{
	return append(frame, front, m->v1_head, PACKET_HEAD_BYTES) &&
	       append(frame, front, message_body(m), m->body_bytes);
}

/* All of them in one packet. */
static bool append_v2(struct ws_frame *frame, size_t front, const struct ws_item *items, unsigned n)
{
	static const uint8_t no_head[PACKET_HEAD_BYTES];
	bool good = append(frame, front, no_head, sizeof(no_head));

	for (unsigned i = 0; i < n && good; i++)
		good = append(frame, front, items[i].message->v2,
			      PACKET_HEAD_BYTES + (size_t)items[i].message->body_bytes);
	if (good)
		packet_encode(frame->data + front, 1, OP_RAW, 0, (uint32_t)(frame->bytes - PACKET_HEAD_BYTES));
	return good;
}

static bool append_text(struct ws_frame *frame, size_t front, const struct ws_item *items, unsigned n)
{
	bool good = append(frame, front, "[", 1);

	for (unsigned i = 0; i < n && good; i++) {
		const struct message_form *form = v1_json_of_message(items[i].message);

		good = form != NULL && (i == 0 || append(frame, front, ",", 1)) &&
		       append(frame, front, form->data, form->bytes);
	}
	return good && append(frame, front, "]", 1);
}

bool ws_frame_of_messages(struct ws_frame *frame, size_t front, const struct ws_item *items, unsigned n,
			  enum dialect dialect, bool is_text)
{
	bool good = true;

	frame->bytes = 0;
	frame->is_text = is_text;
	if (is_text)
		return append_text(frame, front, items, n);
	if (dialect == DIALECT_V2)
		return append_v2(frame, front, items, n);
	for (unsigned i = 0; i < n && good; i++)
		good = append_v1(frame, front, items[i].message);
	return good;
}
