/* message: a push, encoded once, immutable, reference-counted. A broadcast to N connections allocates once and queues N
 * references. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_MESSAGE_H
#define COMMON_WIRE_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/lock.h"
#include "common/wire/packet.h"

/* Numbers in a stream are below it: doubles hold them, which JavaScript and Lua have. */
#define MESSAGE_NUMBERS_END (INT64_C(1) << 53)

/* A message in the words of another dialect. */
struct message_form {
	size_t bytes;
	uint8_t data[];
};

struct message {
	unsigned magic;
#define MESSAGE_MAGIC 0x6d736721
	atomic_uint refs;
	/* set once, read by all */
	int32_t op;
	uint32_t body_bytes;
	int64_t born_ns; /* when it was accepted, clock_now_ns() */
	uint64_t number; /* in its room's stream, 0: not numbered; set before others know the message */
	bool notice;     /* no push, but the word that the stream goes on after `number`, with a gap before */
	uint8_t v1_head[PACKET_HEAD_BYTES]; /* op 5, ver 0: goes before body for a v1 client */
	/* set once by the first thread that needs it, with an atomic exchange: a malloc'ed form that the message then owns; NULL as
	 * long as nobody has asked (comet/transport/v1_json.c) */
	_Atomic(struct message_form *) v1_json;
	/* Goes before the body for a client with streams, once message_number_it has made it; NULL: it gets v2 */
	_Atomic(struct message_form *) v2s_head;
	_Atomic(struct message *) unnumbered; /* see message_unnumbered */
	/* The same for who takes it deflated, by dialect (comet/transport/ws_deflate.c). Made under lock, since it takes long
	 * enough that others had better wait than make it too; message_as_it_is where there is none. */
	_Atomic(struct message_form *) deflated[DIALECTS];
	_Atomic(struct message_form *) stored[DIALECTS]; /* in blocks that refer to nothing, for narrow windows */
	struct lock lock;
	uint8_t v2[]; /* header (op, ver 1) and body as a v2 client gets them */
};

/* Stands where a form would, and says that there is none and will be none: the message goes as it is. */
extern struct message_form message_as_it_is;

/* A message with a copy of this body; one reference, the caller's.
 *   0          *out is set
 *   -EMSGSIZE  body above INT32_MAX - 32
 *   -ENOMEM */
int message_new(int32_t op, const void *body, uint32_t body_bytes, struct message **out);

/* The word of a gap, whose number is still to be set. 0 or -ENOMEM. */
int message_new_notice(struct message **out);

/* One more reference; returns m. Any thread. */
struct message *message_ref(struct message *m);
/* Drop a reference; the last one frees. *m becomes NULL. Any thread. */
void message_unref(struct message **m);

/* An answer to one client that goes the way of pushes; one reference, the caller's. Errors as of message_new. */
int message_answer(int32_t op, int32_t seq, const void *body, uint32_t body_bytes, struct message **out);

/* Make the head for clients with streams: of a push to this room, which is at most 255 bytes long and always the same, or, with "", to
 * keys or to all. Once a message, however often it is asked for. 0 or -ENOMEM. Any thread. */
int message_number_it(struct message *m, const char *room);
/* The same push without its number, for clients with streams that have not joined its room: m itself if it has none, or a twin that m
 * owns. NULL: no memory. Any thread. */
struct message *message_unnumbered(struct message *m);

#define MESSAGE_PIECES 2
struct message_piece {
	const void *bytes;
	size_t n;
};
/* The packet of this push in a dialect of packets, not of text: how many pieces it has. */
unsigned message_pieces(const struct message *m, enum dialect dialect, struct message_piece pieces[MESSAGE_PIECES]);
/* How long that is. */
size_t message_bytes(const struct message *m, enum dialect dialect);

static inline const uint8_t *message_body(const struct message *m)
{
	return m->v2 + PACKET_HEAD_BYTES;
}

#endif
