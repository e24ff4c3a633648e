/* session_rooms: the rooms that a command is in by JOIN, and what it prints of them. One thread. SPDX-License-Identifier: MIT */
#ifndef CLI_SESSION_ROOMS_H
#define CLI_SESSION_ROOMS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/client_setup.h"
#include "cli/printer.h"
#include "client/client.h"
#include "client/client_rooms.h"

struct session_rooms {
	struct client_rooms *rooms; /* NULL: none are joined */
	unsigned connection;        /* the newest of those that client_rooms numbers */
	struct printer_style style; /* how messages are printed */
};

/* Want these: TYPE://ID with commas between. From a position, or 0; with the last so many, or 0. 0; -EINVAL: one has no such name;
 * -ENOMEM. */
int session_rooms_want(struct session_rooms *s, const char *list, int64_t since, int64_t last);
void session_rooms_fini(struct session_rooms *s);
/* Are there several in the list? */
bool session_rooms_are_several(const char *list);

/* client_authenticate, as whom `who` says. From the position in the user's stream; all rooms are due then. */
int session_rooms_authenticate(struct session_rooms *s, const struct client_setup *who, struct client *c,
			       int64_t deadline_ns, struct client_goodbye *goodbye);
/* Before each read of the newest connection: print what became of rooms, and ask for those that are due. `seq` is the last number used.
 *   0
 *   -ENOTCONN  the last room is left, which was said
 *   or an error of stdout or client_send */
int session_rooms_step(struct session_rooms *s, struct client *c, int32_t *seq, int64_t deadline_ns);
/* This, or the time at which one is due, if that is earlier. */
int64_t session_rooms_wake_ns(const struct session_rooms *s, int64_t deadline_ns);
/* Take a packet of that connection.
 *   1        a push, which is printed
 *   0        theirs, and nothing comes of it now
 *   -ENOENT  none of theirs
 *   -EPROTO  no packet
 *   -EIO     stdout takes no more, which was said */
int session_rooms_take(struct session_rooms *s, unsigned connection, const struct packet *p);

#endif
