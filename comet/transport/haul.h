/* haul: the answers and messages that go in one write. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_HAUL_H
#define COMET_TRANSPORT_HAUL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/wire/message.h"
#include "common/wire/packet.h"

#define HAUL_ANSWERS  8
#define HAUL_MESSAGES 32

/* It borrows: packets and messages stay the channel's until channel_done. */
struct haul {
	struct packet *answers[HAUL_ANSWERS];
	struct message *messages[HAUL_MESSAGES];
	unsigned n_answers;
	unsigned n_messages;
	bool messages_first; /* the first message was begun before: it must go on before any answer */
	size_t skip_bytes;   /* of the first item, already written */
	/* set by the writer */
	unsigned answers_done;
	unsigned messages_done;
	size_t begun_bytes; /* of the first item not done, written by now (skip_bytes included) */
};

#endif
