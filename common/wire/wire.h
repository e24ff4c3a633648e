/* wire: the traffic between logic and comets: pushes on their way down, and the JSON of requests on their way up.
 * Encoding and decoding are pure functions; docs/logic-protocol.md says what the texts look like.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_WIRE_H
#define COMMON_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/grants.h"
#include "common/wire/message.h"
#include "common/wire/packet.h"
#include "common/wire/seat.h"
#include "common/wire/upgrade.h"

#define WIRE_KEY_BYTES   256 /* longest key with its zero byte */
#define WIRE_ROOM_BYTES  256 /* longest room id with its zero byte */
#define WIRE_TEXT_BYTES  128
#define WIRE_ACCEPTS_MAX 256 /* accepted operations of one connection */

/* A comet's request to logic for a client that wants in. */
struct wire_connect {
	const uint8_t *token; /* body of the AUTH packet, unread */
	size_t token_bytes;
	const char *peer;       /* address of the client, without the port */
	struct upgrade upgrade; /* of a connect; all zero: none */
	bool needs_proof;       /* a client that is only believed must not come in */
	const char *certified;  /* the user in its certificate, which stands for a token; NULL: none */
	int64_t certified_ms;   /* so long that is good */
	const char *new_key;    /* of a connect: the key of a client that brings none; NULL: logic makes one */
	/* The comet gives up then and may ask another instance: from then on the request must change nothing. Milliseconds
	 * on the registry's clock (Redis's in a cluster); 0: never. */
	int64_t expires_ms;
};

/* The answer of logic. Plain data: on the reader's stack during the handshake, copied by its keeper. */
struct wire_session {
	uint64_t id; /* of this registration: larger = newer for the same key; 0: logic does not number them */
	int64_t mid; /* the user, 0 of one that has a name, and of nobody */
	enum dialect dialect;
	int64_t heartbeat_ms; /* close when no heartbeat came for so long */
	bool takes_over;      /* another comet has the key, until this one sends a heartbeat for it */
	int64_t lifetime_ms;  /* close after so long, unless a new token comes; 0: never */
	int64_t issued_s;     /* when its token was issued, seconds since 1970; 0: it does not say */
	uint64_t written;     /* of what is written for this comet: the number of this, or 0; also of a heartbeat */
	char key[WIRE_KEY_BYTES];
	bool key_is_made;           /* by logic, for a client that brought none: it does not come back with it */
	char name[USER_BYTES];      /* the user's, "" for none */
	char room[WIRE_ROOM_BYTES]; /* "type://id", v1: "1"; "" for none */
	int32_t *accepts;           /* malloc'ed, the caller frees; NULL with n_accepts 0 */
	size_t n_accepts;
	struct grants *grants;         /* malloc'ed, the caller frees; NULL: none */
	char refusal[WIRE_TEXT_BYTES]; /* on -ERR_REFUSED, -ERR_BANNED, -ERR_PER_USER: words for the client */
};

/* The session's seat; good for as long as the session is. */
static inline struct seat wire_session_seat(const struct wire_session *session)
{
	return (struct seat){
		.key = session->key,
		.session_id = session->id,
		.user = {session->mid, session->name[0] != '\0' ? session->name : NULL},
	};
}

/* The answer of logic to a new token of a connection that is in already. */
struct wire_renewal {
	int64_t lifetime_ms;           /* as in a session, from now on */
	int64_t issued_s;              /* the same */
	struct grants *grants;         /* the same */
	char refusal[WIRE_TEXT_BYTES]; /* on -ERR_REFUSED, -ERR_BANNED */
};

struct wire_room_count {
	const char *room;
	int64_t count;
};

/* A comet's words about itself, with its room counts. */
struct wire_load {
	int64_t connections;
	int64_t addresses; /* distinct client addresses */
	int64_t delivered; /* messages written and dropped since its start; for the lease only */
	int64_t dropped;
	int64_t taken_ns; /* clock_now_ns() before the rooms were counted */
};

/* WIRE_CLEAR: the history of the room's stream is forgotten, and its members are told that it goes on elsewhere.
 * WIRE_JOIN, WIRE_LEAVE: the connections of these keys are led into the room, or out of it. */
enum wire_target { WIRE_KEYS, WIRE_ROOM, WIRE_ALL, WIRE_KICK, WIRE_CLEAR, WIRE_JOIN, WIRE_LEAVE, WIRE_TARGETS };

/* Why a connection is kicked. */
enum wire_reason { WIRE_KICKED, WIRE_REPLACED, WIRE_PER_USER, WIRE_REASONS };

/* One push as a comet takes it. The strings and the array are the caller's, valid during the call; the message is
 * shared by reference. */
struct wire_push {
	enum wire_target target;
	struct message
		*message; /* not for WIRE_KICK and WIRE_LEAVE; of WIRE_CLEAR and WIRE_JOIN a notice with a number */
	const char *const *keys;  /* WIRE_KEYS, WIRE_KICK, WIRE_JOIN, WIRE_LEAVE */
	const uint64_t *sessions; /* WIRE_KICK: only the connection with this session id, 0 = whichever has the key;
	                                    NULL = all 0 */
	size_t n_keys;
	const char *room; /* WIRE_ROOM, WIRE_CLEAR, WIRE_JOIN, WIRE_LEAVE: "type://id" */
	const char *
		stream; /* WIRE_KEYS, WIRE_CLEAR, in place of a room: it is kept in this user's stream (common/base/kept.h), and there
			     * may be no keys, which are those of connections that have no stream; or NULL */
	const char
		*name; /* of what is kept: the caller's name for it, for a bus that knows what comes again; or NULL */
	int64_t confirm_ms; /* with a stream: tell back ends if no device has confirmed it by then; 0: nobody is told */
	bool unkept;        /* WIRE_ROOM: it gets no number, and nobody who comes later gets it */
	uint32_t speed;     /* WIRE_ALL: deliveries a second on this comet, 0 = no limit */
	enum wire_reason reason; /* WIRE_KICK */
};

/* ---- requests and replies ---- */

enum wire_method {
	WIRE_CONNECT,
	WIRE_DISCONNECT,
	WIRE_HEARTBEAT,
	WIRE_RENEW_ONLINE,
	WIRE_RECEIVE,
	WIRE_REAUTH,
	WIRE_PERMIT,
	WIRE_METHODS
};

/* One request of a comet. Strings and bytes are the maker's: the caller's when it encodes, the request's own (freed by
 * wire_request_fini) when it was decoded. */
struct wire_request {
	enum wire_method method;
	const char *id;     /* the reply repeats it */
	const char *server; /* the comet that asks */
	const char *reply;  /* channel for the reply; "" for no reply */
	struct wire_connect
		connect;       /* of WIRE_CONNECT, WIRE_REAUTH and WIRE_PERMIT; its expires_ms is of all methods */
	struct seat seat;      /* of all methods but WIRE_CONNECT and WIRE_RENEW_ONLINE */
	struct packet packet;  /* WIRE_RECEIVE */
	struct wire_load load; /* WIRE_RENEW_ONLINE */
	const struct wire_room_count *rooms; /* of WIRE_RENEW_ONLINE; of WIRE_PERMIT those asked for, without counts */
	size_t n_rooms;
	void *owned[4]; /* the decoded object, and the copies made of it */
};

/* A JSON text, malloc'ed, ended by a zero byte that *bytes does not count. Rooms whose id is not UTF-8 are left out.
 * 0 or -ENOMEM. */
int wire_request_encode(const struct wire_request *request, char **text, size_t *bytes);
/* 0; -EBADMSG the bytes are no request; -ENOMEM. In each case wire_request_fini may follow. */
int wire_request_decode(const char *text, size_t bytes, struct wire_request *out);
void wire_request_fini(struct wire_request *request);

struct wire_reply {
	const char *id;
	int rc; /* 0; -ERR_REFUSED, -ERR_BANNED, -ERR_PER_USER (session.refusal says why); -ERR_NO_LOGIC: tried and failed */
	struct wire_session
		session; /* of a connect; its accepts are malloc'ed. Of a reauth: lifetime, grants, refusal. Of a permit: grants */
	const struct wire_room_count *rooms; /* of a renew_online */
	size_t n_rooms;
	const char *cluster; /* of a renew_online: name of the data that logic works on; NULL or "": it has not said */
	void *owned[2];
};

int wire_reply_encode(const struct wire_reply *reply, char **text, size_t *bytes);
/* As for requests; a session in it has a key, and an id where logic numbers them. */
int wire_reply_decode(const char *text, size_t bytes, struct wire_reply *out);
/* Frees the session's accepts and grants, too: set them to NULL to keep them. */
void wire_reply_fini(struct wire_reply *reply);

/* ---- entries of a comet's stream of pushes ---- */

struct wire_field {
	const char *name;
	const char *value;
	size_t value_bytes;
};

#define WIRE_ENTRY_FIELDS 8 /* at most, beside those that the sender's script adds */

/* The fields of a push (target, op, body, keys, sessions, room, speed, reason); the values point into the push or are
 * owned. Without keys where the sender's script adds them. */
struct wire_entry {
	struct wire_field fields[WIRE_ENTRY_FIELDS];
	size_t n;
	char *owned[2];
	char op_text[12], speed_text[12], had_text[24], epoch_text[24];
};

/* 0; -ENOMEM; -EINVAL a key is not UTF-8. */
int wire_entry_encode(const struct wire_push *push, struct wire_entry *out);
/* No push, but a word to the comet whose lease has this epoch: when Redis lost data, so many entries its stream had had. Needs no
 * wire_entry_fini. */
void wire_entry_had(uint64_t had, uint64_t epoch, struct wire_entry *out);
void wire_entry_fini(struct wire_entry *entry);

/* A push as it was read from a stream. */
struct wire_pushed {
	struct wire_push push;
	const char *from; /* its writer, "" for a writer that does not number what it writes */
	size_t from_bytes;
	uint64_t seq;    /* its number among all of that writer's */
	uint64_t number; /* its number in this stream, 0: not numbered */
	uint64_t had;    /* not 0: no push, see wire_entry_had ... */
	uint64_t base,
		generation; /* ... and so many it had when this generation of the data began; 0: the writer does not say */
	void *owned[4];
};

/* From the fields of an entry, in any order; unknown ones are skipped. Values need no zero byte at their end.
 * 0; -EBADMSG; -ENOMEM. In each case wire_pushed_fini may follow. */
int wire_pushed_decode(const struct wire_field *fields, size_t n, struct wire_pushed *out);
void wire_pushed_fini(struct wire_pushed *pushed);

#endif
