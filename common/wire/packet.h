/* packet: the unit of the protocol, a 16-byte header and a body; encode, decode and limits. Knows no socket.
 * The layout is docs/protocol.md, section 1. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_PACKET_H
#define COMMON_WIRE_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#define PACKET_HEAD_BYTES 16
#define PACKET_VER_PUSH   4 /* of every push to a client with streams, and of nothing else */

enum op {
#define op(NAME, number, from, dialects, words) OP_##NAME = (number),
#include "common/wire/ops.def"
#undef op
};

/* Does this operation say something to a client of the protocol itself, so that no back end may push it? Those that are not the
 * protocol's, and SEND and SEND_REPLY, which carry messages in version 1, are free; so are those of clients with streams, who tell
 * pushes from answers by `ver`. */
bool packet_op_is_own(int32_t op);

/* How a client speaks; known once it authenticated. */
enum dialect {
	DIALECT_V1 = 1,      /* pushes arrive as op 5, ver 0 */
	DIALECT_V2 = 2,      /* pushes arrive with their own op, ver 1 */
	DIALECT_V1_JSON = 3, /* v1 over WebSocket text */
	DIALECT_V2S = 4,     /* v2 with streams: pushes arrive with ver 4, a number and the room */
};
#define DIALECTS 5 /* for arrays by dialect */

/* Version 2, with streams or without? */
static inline bool dialect_is_v2(enum dialect d)
{
	return d == DIALECT_V2 || d == DIALECT_V2S;
}

/* The outcome of a read. */
enum packet_kind {
	PACKET_WHOLE,   /* a packet */
	PACKET_PING,    /* a ping of the transport's: written back as it is, with no header */
	PACKET_NOTHING, /* something that counts for limits, and is nobody's business */
};

struct packet {
	int16_t ver;
	bool body_owned; /* body was malloc'ed for this packet: packet_drop_body frees it */
	uint8_t kind;    /* enum packet_kind */
	int32_t op;
	int32_t seq;
	uint32_t body_bytes;
	uint8_t *body; /* may point into the reader's buffer: valid until the next read */
};

/* Decode a header of PACKET_HEAD_BYTES; p->body_bytes is the length of its body, p->body is NULL.
 *   0                   good
 *   -ERR_PACKET_LENGTH  package length below 16 or negative
 *   -ERR_PACKET_HEADER  header length other than 16
 *   -ERR_PACKET_BODY    body above max_body bytes; p's fields are set, so that the caller can log them */
int packet_decode(const uint8_t head[PACKET_HEAD_BYTES], uint32_t max_body, struct packet *p);

/* Of an AUTH: tokens are longer than most bodies. */
#define PACKET_TOKEN_BYTES 16384

/* A decoder's rc for a packet, where an AUTH may have a body of max_token bytes, if not of more; 0: no more than others.
 * rc; 0; -ERR_TOKEN: an AUTH with more than that. */
int packet_allow_token(int rc, const struct packet *p, uint32_t max_token);

/* Write the header of a packet with this body length. body_bytes is at most INT32_MAX - 16. */
void packet_encode(uint8_t head[PACKET_HEAD_BYTES], int16_t ver, int32_t op, int32_t seq, uint32_t body_bytes);

/* Make the body the packet's own copy, so that it outlives the reader's buffer. 0 or -ENOMEM (body then dropped). */
int packet_keep_body(struct packet *p);

/* Replace the body by a copy of these bytes. 0 or -ENOMEM (body then empty). */
int packet_set_body(struct packet *p, const void *bytes, uint32_t body_bytes);

/* Free the body if it is owned, and make it empty. */
void packet_drop_body(struct packet *p);

/* Big-endian integers of the wire, as heartbeat replies carry them. */
void packet_put_i32(uint8_t out[4], int32_t value);
int32_t packet_get_i32(const uint8_t in[4]);

#endif
