/* Fuzzes the packet codec: any bytes as what a client sends. The input is read as a reader thread reads it, packet after
 * packet, with a small limit for bodies; what is decoded must encode to the bytes it came from, and every body must be
 * the client's own bytes. SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/obj.h"
#include "common/wire/message.h"
#include "common/wire/packet.h"

#define MAX_BODY 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void must_encode_to(const struct packet *p, const uint8_t *head)
{
	uint8_t again[PACKET_HEAD_BYTES];

	packet_encode(again, p->ver, p->op, p->seq, p->body_bytes);
	BUG_UNLESS(memcmp(again, head, sizeof(again)) == 0);
}

/* Why it was refused must be so. */
static void must_be_wrong(int rc, const struct packet *p, const uint8_t *head)
{
	int32_t package_bytes = packet_get_i32(head);

	BUG_UNLESS(p->body == NULL && !p->body_owned);
	switch (rc) {
	case -ERR_PACKET_LENGTH:
		BUG_UNLESS(package_bytes < PACKET_HEAD_BYTES);
		break;
	case -ERR_PACKET_HEADER:
		BUG_UNLESS(head[4] != 0 || head[5] != PACKET_HEAD_BYTES);
		break;
	default:
		BUG_UNLESS(rc == -ERR_PACKET_BODY && package_bytes > PACKET_HEAD_BYTES + MAX_BODY);
		must_encode_to(p, head);
	}
}

/* The body is first a slice of the reader's buffer, then the packet's own, then a push to others. */
static void pass_on(struct packet *p, const uint8_t *body)
{
	struct message *m;

	BUG_UNLESS(packet_keep_body(p) == 0);
	BUG_UNLESS(p->body_bytes == 0 || memcmp(p->body, body, p->body_bytes) == 0);
	BUG_UNLESS(message_new(p->op, p->body, p->body_bytes, &m) == 0);
	packet_drop_body(p);
	BUG_UNLESS(m->body_bytes == 0 || memcmp(message_body(m), body, m->body_bytes) == 0);
	BUG_UNLESS(packet_decode(m->v2, MAX_BODY, p) == 0 && p->op == m->op && p->body_bytes == m->body_bytes);
	BUG_UNLESS(packet_decode(m->v1_head, MAX_BODY, p) == 0 && p->op == OP_SEND_REPLY);
	message_unref(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	while (bytes >= PACKET_HEAD_BYTES) {
		uint8_t body[MAX_BODY];
		struct packet p;
		int rc = packet_decode(data, MAX_BODY, &p);

		if (rc < 0) {
			must_be_wrong(rc, &p, data);
			break;
		}
		must_encode_to(&p, data);
		data += PACKET_HEAD_BYTES;
		bytes -= PACKET_HEAD_BYTES;
		if (p.body_bytes > bytes)
			break;
		if (p.body_bytes > 0)
			memcpy(body, data, p.body_bytes);
		data += p.body_bytes;
		bytes -= p.body_bytes;
		p.body = body;
		pass_on(&p, body);
	}
	return 0;
}
