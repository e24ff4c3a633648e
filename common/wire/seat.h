/* seat: a registration: a connection by its key, the number that logic gave to its registration, and its user. Passed by
 * pointer from the reader of a connection to the registry; only code that looks into it knows what a user is.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_SEAT_H
#define COMMON_WIRE_SEAT_H

#include <stdint.h>

struct seat {
	const char *key;     /* the caller's, but for a copy, which owns it */
	uint64_t session_id; /* of two with one key the larger is the newer; 0: logic does not number them */
	int64_t mid;         /* the user, 0: none */
};

/* Whose the connection is, as a name: its user; of no user, the connection itself. No user is called as a connection is. */
#define SEAT_OWNER_BYTES 300
const char *seat_owner(const struct seat *seat, char owner[SEAT_OWNER_BYTES]);

/* A copy with a key of its own, for seat_fini. 0 or -ENOMEM, with *to empty. */
int seat_copy(const struct seat *from, struct seat *to);
void seat_fini(struct seat *seat);

#endif
