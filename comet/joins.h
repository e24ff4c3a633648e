/* joins: the rooms that a connection with streams has joined by JOIN, beside its place in the room of AUTH and op 12. For the reader,
 * which alone joins and leaves. What a client missed is the reader's to replay, too: it goes on with that before it reads the next
 * packet, and waits while more than half of the queue is taken. So a client that reads slowly holds up nobody but itself.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_JOINS_H
#define COMET_JOINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comet/connection.h"
#include "comet/joined.h"
#include "comet/server.h"

/* The room of this name that the connection has joined, or NULL. */
struct joined *joins_find(const struct joins *js, const char *room);
/* Into this room, deaf. NULL: no memory. */
struct joined *joins_enter(struct server *s, struct connection *c, const char *room);
/* It stays in, and nothing of the room is queued from now on. */
void joins_make_deaf(struct connection *c, struct joined *j);
/* Out of it: what of the room is queued goes out, and nothing of it is queued from now on. */
void joins_leave(struct server *s, struct connection *c, struct joined *j);
void joins_leave_all(struct server *s, struct connection *c);
/* Before each packet: out of the rooms whose pass is over, with a NOTICE each. 0, or -errno of joins_queue. */
int joins_end_passes(struct server *s, struct connection *c);
/* A new token may grant less: out of the rooms that it does not, with a NOTICE each. 0, or -errno of joins_queue. */
int joins_renewed(struct server *s, struct connection *c);

/* Queue an answer or a NOTICE, behind all pushes before it. Gives the reference up. *owed: the baton is the reader's, who owes
 * dispatch_now. 0; -ENOMEM; -EPIPE: closed, also because the queue was full of what the client does not read. */
int joins_queue(struct connection *c, struct message **message, bool *owed);

/* What the client missed is to be replayed from here on. */
void joins_begin(struct connection *c, struct joined *j, uint64_t at);
/* Go on with that. 0: nothing is left; READER_PARKED; -EPIPE: closed; -ENOMEM. */
int joins_replay(struct server *s, struct connection *c);

#endif
