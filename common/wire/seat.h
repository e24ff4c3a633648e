/* seat: a registration: a connection by its key, the number that logic gave to its registration, and its user. Passed by
 * pointer from the reader of a connection to the registry; user.h says what a user is.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_SEAT_H
#define COMMON_WIRE_SEAT_H

#include <stdint.h>

#include "common/wire/user.h"

struct seat {
	const char *key;     /* the caller's, but for a copy, which owns it */
	uint64_t session_id; /* of two with one key the larger is the newer; 0: logic does not number them */
	struct user user;    /* its name is the caller's, but for a copy, which owns it as well */
};

/* Newer than all sessions of a key, for a comet that does not know which one it has. JavaScript and Lua count so far. */
#define SEAT_ANY_SESSION ((UINT64_C(1) << 53) - 1)

/* Whose the connection is, as a name: its user; of no user, the connection itself. No user is called as a connection is. */
#define SEAT_OWNER_BYTES USER_ESCAPED_BYTES
const char *seat_owner(const struct seat *seat, char owner[SEAT_OWNER_BYTES]);

/* A copy with a key and a name of its own, for seat_fini. 0 or -ENOMEM, with *to empty. */
int seat_copy(const struct seat *from, struct seat *to);
void seat_fini(struct seat *seat);

#endif
