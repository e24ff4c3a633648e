/* ban: who is kept out, and until when, and its texts: in Redis a field and its value, in a file both on one line. Pure; any thread.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_BAN_H
#define COMMON_WIRE_BAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire/wire.h"

/* BAN_TOKENS: of this user no token is good that was issued before a time. */
enum ban_kind { BAN_USER, BAN_KEY, BAN_NETWORK, BAN_TOKENS, BAN_KINDS };

struct ban {
	enum ban_kind kind;
	const char *name; /* a user, as text; a key; a network, as cidr_text writes it */
	uint64_t stamp;   /* of two of one kind and name the larger is the newer, and the one that counts */
	int64_t until_ms; /* its end, wall time */
	int64_t keep_ms; /* it is remembered until then, also when it was lifted: an older copy would not have ended before */
	int64_t before_s; /* BAN_TOKENS: seconds since 1970, as iat */
	bool lifted;
};

/* "user", "key", "network", "tokens". */
const char *ban_kind_name(enum ban_kind kind);

#define BAN_FIELD_BYTES (WIRE_KEY_BYTES + 2)
#define BAN_VALUE_BYTES 112
void ban_field(const struct ban *ban, char field[BAN_FIELD_BYTES]);
void ban_value(const struct ban *ban, char value[BAN_VALUE_BYTES]);

/* The opposite; the name stays the field's. 0; -EBADMSG: it is none. */
int ban_read(const char *field, const char *value, struct ban *out);

/* Can somebody be called so? Not empty, not too long, without control characters; a network is one. */
bool ban_name_is_good(enum ban_kind kind, const char *name);

/* "2026-11-30T12:00:00Z", for people. */
#define BAN_TIME_BYTES 32
void ban_time(int64_t ms, char text[BAN_TIME_BYTES]);

#endif
