/* ws_payload: what a WebSocket carries: messages as they came, and the payload of a frame, which is one answer or the pushes
 * that go together. Knows no lock and no socket.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_PAYLOAD_H
#define COMET_TRANSPORT_WS_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/message.h"
#include "common/wire/packet.h"

/* A message as it came, or an answer as it goes; malloc'ed. */
struct ws_block {
	struct ws_block *next; /* in the inbox */
	size_t bytes;
	size_t room;
	bool is_text; /* of an answer; the peer's first message may come, and say what it speaks, when this is written already */
	uint8_t data[];
};

/* What is to be written: either a push, of which it has a reference, or an answer. */
struct ws_item {
	struct message *message;
	struct ws_block *answer;
};

struct ws_frame {
	uint8_t *
		data; /* `front` bytes that are the caller's, then the payload; malloc'ed, NULL at first, moved as it grows */
	size_t room;  /* of all of it */
	size_t bytes; /* of the payload */
	bool is_text;
};

/* The packet as it goes. NULL: no memory. */
struct ws_block *ws_block_of_answer(const struct packet *p, bool is_text);

/* Of its body, about. */
size_t ws_item_bytes(const struct ws_item *item);
void ws_item_drop(struct ws_item *item);

/* False: no memory. */
bool ws_frame_of_answer(struct ws_frame *frame, size_t front, const struct ws_block *answer);
bool ws_frame_of_messages(struct ws_frame *frame, size_t front, const struct ws_item *items, unsigned n,
			  enum dialect dialect, bool is_text);

#endif
