/* packet: see packet.h. Pure functions but for the bodies' memory. SPDX-License-Identifier: MIT */
#include "common/wire/packet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

static uint16_t get_u16(const uint8_t *in)
{
	return (uint16_t)(in[0] << 8 | in[1]);
}

static void put_u16(uint8_t *out, uint16_t value)
{
	out[0] = (uint8_t)(value >> 8);
	out[1] = (uint8_t)value;
}

int32_t packet_get_i32(const uint8_t in[4])
{
	return (int32_t)((uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3]);
}

void packet_put_i32(uint8_t out[4], int32_t value)
{
	uint32_t bits = (uint32_t)value;

	out[0] = (uint8_t)(bits >> 24);
	out[1] = (uint8_t)(bits >> 16);
	out[2] = (uint8_t)(bits >> 8);
	out[3] = (uint8_t)bits;
}

bool packet_op_is_own(int32_t op)
{
	switch (op) {
#define op(NAME, number, from, dialects, words) case OP_##NAME:
#include "common/wire/ops.def"
#undef op
	case 10: /* goim's own, between its reader and its dispatcher, */
	case 11: /* and its clients know them */
		return op != OP_SEND && op != OP_SEND_REPLY && (op < OP_JOIN || op > OP_ACK);
	default:
		return false;
	}
}

int packet_decode(const uint8_t head[PACKET_HEAD_BYTES], uint32_t max_body, struct packet *p)
{
	int32_t package = packet_get_i32(head);

	*p = (struct packet){
		.ver = (int16_t)get_u16(head + 6),
		.op = packet_get_i32(head + 8),
		.seq = packet_get_i32(head + 12),
	};
	if (package < PACKET_HEAD_BYTES)
		return -ERR_PACKET_LENGTH;
	p->body_bytes = (uint32_t)package - PACKET_HEAD_BYTES;
	if (get_u16(head + 4) != PACKET_HEAD_BYTES)
		return -ERR_PACKET_HEADER;
	return p->body_bytes > max_body ? -ERR_PACKET_BODY : 0;
}

int packet_allow_token(int rc, const struct packet *p, uint32_t max_token)
{
	if (rc != -ERR_PACKET_BODY || p->op != OP_AUTH || max_token == 0)
		return rc;
	return p->body_bytes <= max_token ? 0 : -ERR_TOKEN;
}

void packet_encode(uint8_t head[PACKET_HEAD_BYTES], int16_t ver, int32_t op, int32_t seq, uint32_t body_bytes)
{
	packet_put_i32(head, (int32_t)(PACKET_HEAD_BYTES + body_bytes));
	put_u16(head + 4, PACKET_HEAD_BYTES);
	put_u16(head + 6, (uint16_t)ver);
	packet_put_i32(head + 8, op);
	packet_put_i32(head + 12, seq);
}

int packet_keep_body(struct packet *p)
{
	if (p->body_owned)
		return 0;
	return packet_set_body(p, p->body, p->body_bytes);
}

int packet_set_body(struct packet *p, const void *bytes, uint32_t body_bytes)
{
	uint8_t *copy = NULL;

	if (body_bytes > 0) {
		if ((copy = malloc(body_bytes)) == NULL) {
			packet_drop_body(p);
			return -ENOMEM;
		}
		memcpy(copy, bytes, body_bytes);
	}
	packet_drop_body(p);
	p->body = copy;
	p->body_bytes = body_bytes;
	p->body_owned = copy != NULL;
	return 0;
}

void packet_drop_body(struct packet *p)
{
	if (p->body_owned)
		free(p->body);
	p->body = NULL;
	p->body_bytes = 0;
	p->body_owned = false;
}
