/* ws_message: see ws_message.h. SPDX-License-Identifier: MIT */
#include "comet/transport/ws_message.h"

#include <errno.h>

#include "comet/transport/v1_json.h"
#include "comet/transport/ws_deflate.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/obj.h"

int ws_message_take(struct ws_message *m, struct buffers *buffers, struct ws_event *e, uint8_t *bytes, uint32_t most)
{
	int rc;

	m->at = bytes;
	m->left = e->bytes;
	if (!e->deflated)
		return 0;
	m->left = 0;
	BUG_UNLESS(m->borrowed == NULL && most < buffers->size);
	if ((m->borrowed = buffers_get(buffers)) == NULL)
		return -ENOMEM;
	m->at = m->borrowed;
	if ((rc = ws_inflate(bytes, e->bytes, m->at, most, &m->left)) == 0 && e->opcode == WS_TEXT)
		rc = ws_judge_text(&e->opcode, m->at, m->left);
	if (rc != 0)
		m->left = 0;
	return rc;
}

void ws_message_drop(struct ws_message *m, struct buffers *buffers)
{
	buffers_put(buffers, m->borrowed);
	*m = (struct ws_message){0};
}

/* The next n bytes, taken off it. */
static uint8_t *take_off(struct ws_message *m, uint32_t n)
{
	uint8_t *bytes = m->at;

	m->at += n;
	m->left -= n;
	return bytes;
}

/* Several may stand in one message: for example AUTH and a heartbeat. */
int ws_message_packet(struct ws_message *m, uint32_t max_body, uint32_t max_token, struct packet *p)
{
	int rc;

	if (m->left < PACKET_HEAD_BYTES)
		return -ERR_PACKET_LENGTH;
	rc = packet_allow_token(packet_decode(m->at, max_body, p), p, max_token);
	/* Bytes that the length promises beyond the message's end are nobody's to read. */
	if (rc == 0 && p->body_bytes > m->left - PACKET_HEAD_BYTES)
		rc = -ERR_PACKET_LENGTH;
	if (rc < 0)
		return rc;
	p->body = take_off(m, PACKET_HEAD_BYTES + p->body_bytes) + PACKET_HEAD_BYTES;
	if (p->body_bytes == 0)
		p->body = NULL;
	/* Behind it there may stand bytes that begin none: there are clients that send them. */
	if (m->left > 0 && m->left < PACKET_HEAD_BYTES) {
		count(COUNT_WEBSOCKET_TRAILING);
		m->left = 0;
	}
	return 0;
}

int ws_message_text(struct ws_message *m, uint32_t max_body, uint32_t max_token, struct packet *p)
{
	uint32_t n = m->left;

	return packet_allow_token(v1_json_decode(take_off(m, n), n, max_body, p), p, max_token);
}
