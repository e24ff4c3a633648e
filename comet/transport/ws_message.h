/* ws_message: a whole message of a client, and the packets in it that are not handed out yet. It lies in the stream's buffer, or
 * inflated in one that it has borrowed. The reader's. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_MESSAGE_H
#define COMET_TRANSPORT_WS_MESSAGE_H

#include <stdint.h>

#include "comet/transport/buffers.h"
#include "comet/transport/ws_frame.h"
#include "common/wire/packet.h"

/* All zero at first. */
struct ws_message {
	uint8_t *at;
	uint32_t left; /* bytes that are not handed out yet */
	uint8_t *borrowed;
};

/* The message is e->bytes bytes, which stay where they are until it is empty; or, e->deflated, these inflated: at most `most`, and
 * fewer than a buffer has. Then e->opcode is judged, too. 0; -ENOMEM; or the code to close with. */
int ws_message_take(struct ws_message *m, struct buffers *buffers, struct ws_event *e, uint8_t *bytes, uint32_t most);

/* Nobody has packets of it any more; what it borrowed goes back. */
void ws_message_drop(struct ws_message *m, struct buffers *buffers);

/* The next packet of a message that is not empty; its body lies in the message. 0, or -ERR_PACKET_* as of packet_decode. */
int ws_message_packet(struct ws_message *m, uint32_t max_body, uint32_t max_token, struct packet *p);

/* Its only one, of a text message. 0, or as v1_json_decode. */
int ws_message_text(struct ws_message *m, uint32_t max_body, uint32_t max_token, struct packet *p);

#endif
