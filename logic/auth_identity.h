/* auth_identity: a client's identity, and its reader from JSON, which is the same for tokens that are believed, for claims and for the
 * answers of a webhook. Pure functions. SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_IDENTITY_H
#define LOGIC_AUTH_IDENTITY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/packet.h"
#include "common/wire/seat.h"
#include "common/wire/wire.h"

enum auth_cause {
#define cause(NAME, name, words) AUTH_##NAME,
#include "logic/auth_cause.def"
#undef cause
	AUTH_CAUSES
};

/* The end of the year 9999. A later time is most often one in milliseconds, and would let a client stay for ever. */
#define AUTH_SECONDS_MAX INT64_C(253402300799)

/* A client's wish to be let in, or to stay. */
struct auth_request {
	const uint8_t *token; /* body of its AUTH packet */
	size_t token_bytes;
	const char *peer;        /* its address */
	const char *server;      /* the comet that it is connected to */
	struct upgrade upgrade;  /* of its WebSocket */
	const char *certified;   /* the user in its certificate, or NULL; */
	int64_t certified_ms;    /* so long that is good */
	const struct seat *seat; /* of the connection that is to be renewed; NULL: a new one */
};

/* `key` and `room` may be empty: logic fills in the key. Strings, accepts and grants are malloc'ed; auth_identity_fini frees them. */
struct auth_identity {
	int64_t mid;
	char *name; /* of a user that has one, otherwise NULL */
	char *key;
	char *room;
	char *platform;
	int32_t *accepts;
	size_t n_accepts;
	struct grants *grants; /* NULL: none */
	enum dialect dialect;
	int64_t lifetime_ms;           /* so long it may stay; 0: for ever */
	int64_t issued_s;              /* when its token was issued; 0: it does not say */
	int64_t heartbeat_ms;          /* 0: as the settings say */
	enum auth_cause cause;         /* on an error other than -ENOMEM */
	char refusal[WIRE_TEXT_BYTES]; /* on -ERR_REFUSED: words for the client */
};
void auth_identity_fini(struct auth_identity *who);

/* Good for as long as the identity is. */
static inline struct user auth_identity_user(const struct auth_identity *who)
{
	return (struct user){who->mid, who->name};
}

/* -ERR_REFUSED, for this cause; words NULL: those of the table. Words that are too long are cut between characters. */
int auth_refuse(struct auth_identity *who, enum auth_cause cause, const char *words);

/* Each reads one member, which may be missing or null: then the string is empty, the number 0, the list empty.
 * 0; -ERR_REFUSED, words that name the member; -ENOMEM. */
int auth_read_integer(struct auth_identity *who, const json_t *from, const char *member, int64_t *out);
/* No control characters, and shorter than bytes_max. */
int auth_read_string(struct auth_identity *who, const json_t *from, const char *member, size_t bytes_max, char **out);
int auth_read_accepts(struct auth_identity *who, const json_t *from, const char *member);
/* The rooms and operations that are granted to it. */
int auth_read_grants(struct auth_identity *who, const json_t *from, const char *rooms, const char *ops);

/* A user's string; `member` is its name in words. */
int auth_read_user(struct auth_identity *who, const json_t *from, const char *member);

/* The user gets this prefix ("": none): a number becomes a name by it, and nobody stays nobody. 0; -ERR_REFUSED; -ENOMEM. */
int auth_add_prefix(struct auth_identity *who, const char *prefix);

/* The key, which the client has chosen by itself, becomes one of its user's: <user>_<key>, where the user's string is escaped so that
 * no two of these are one. "" stays "". 0; -ERR_REFUSED; -ENOMEM. */
int auth_own_key(struct auth_identity *who);

/* mid, or user where that is missing or 0; key, room_id, platform and accepts by these names. */
int auth_read_whole(struct auth_identity *who, const json_t *from);

/* Is the token a decimal user id, as of version 1? */
bool auth_is_user_id(const uint8_t *token, size_t token_bytes, int64_t *uid);

/* Is the member there, and not null? */
bool auth_has(const json_t *from, const char *member);

#endif
