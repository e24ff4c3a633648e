/* wire: what passes between logic and comets: pushes on their way down, and the JSON of requests on their way up.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "common/message.h"
#include "common/packet.h"

#define WIRE_KEY_BYTES   256 /* longest key with its zero byte */
#define WIRE_ROOM_BYTES  256 /* longest room id with its zero byte */
#define WIRE_TEXT_BYTES  128
#define WIRE_ACCEPTS_MAX 256 /* accepted operations of one connection */

/* What a comet asks logic for a client that wants in. */
struct wire_connect {
	const uint8_t *token; /* body of the AUTH packet, unread */
	size_t token_bytes;
	const char *peer; /* address of the client, without the port */
};

/* What logic answers. Plain data: on the reader's stack during the handshake, copied by who keeps it. */
struct wire_session {
	uint64_t id; /* of this registration: larger = newer for the same key; 0: logic does not number them */
	int64_t mid; /* the user, or 0 */
	enum dialect dialect;
	int64_t heartbeat_ms; /* close when no heartbeat came for so long */
	char key[WIRE_KEY_BYTES];
	char room[WIRE_ROOM_BYTES]; /* "type://id", v1: "1"; "" for none */
	int32_t *accepts;           /* malloc'ed, the caller frees; NULL with n_accepts 0 */
	size_t n_accepts;
	char refusal[WIRE_TEXT_BYTES]; /* on -ERR_REFUSED: words for the client */
};

struct wire_room_count {
	const char *room;
	int64_t count;
};

/* What a comet tells about itself with its room counts. */
struct wire_load {
	int64_t connections;
	int64_t addresses; /* distinct client addresses */
};

enum wire_target { WIRE_KEYS, WIRE_ROOM, WIRE_ALL, WIRE_KICK, WIRE_TARGETS };

/* One push as a comet takes it. The strings and the array are the caller's, valid during the call; the message is
 * shared by reference. */
struct wire_push {
	enum wire_target target;
	struct message *message;  /* not for WIRE_KICK */
	const char *const *keys;  /* WIRE_KEYS, WIRE_KICK */
	const uint64_t *sessions; /* WIRE_KICK: only the connection with this session id, 0 = whichever has the key;
	                                    NULL = all 0 */
	size_t n_keys;
	const char *room;   /* WIRE_ROOM: "type://id" */
	uint32_t speed;     /* WIRE_ALL: deliveries a second on this comet, 0 = no limit */
	const char *reason; /* WIRE_KICK: "kicked" or "replaced" */
};

#endif
