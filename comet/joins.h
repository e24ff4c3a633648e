/* joins: the rooms that a connection with streams has joined, beside its place in the room of AUTH and op 12: by JOIN, which is the
 * reader's, or led by a back end (usher.h), on a push thread. What a client missed is the reader's to replay, too: it goes on with that before it reads the next
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

/* ---- any thread, with `places` of its bucket: for usher.c ---- */

/* The room of this name that the connection is in, or NULL. */
struct joined *joins_find_locked(const struct joins *js, const char *room);
/* Into this room, deaf. NULL: no memory. */
struct joined *joins_enter_locked(struct bucket *b, struct connection *c, const char *room) NEEDS(b->places);
/* Out of it: what of the room is queued goes out, and nothing of it is queued from now on. */
void joins_leave_locked(struct server *s, struct bucket *b, struct connection *c, struct joined *j) NEEDS(b->places);
/* Is it in this room by a back end's word, deaf since a JOIN was put off? It may come again, or the back end lead it in anew. */
bool joins_wait_locked(const struct joined *j);
/* Queue an answer or a NOTICE, behind all pushes before it. Gives the reference up. *owed: the baton is the caller's, who owes
 * dispatch_now. 0; -ENOMEM; -EPIPE: closed, also because the queue was full of what the client does not read. */
int joins_queue(struct connection *c, struct message **message, bool *owed);

/* ---- the reader ---- */

/* Is it in this room? Of a client without streams: no. */
bool joins_have(struct server *s, struct connection *c, const char *room);
/* The same, led there by a back end: no token has a say in it. */
bool joins_are_led(struct server *s, struct connection *c, const char *room);
/* Into this room for a JOIN (js->asked), deaf, also where it was in; busy until joins_done. 1: it was not in before; 0; -EALREADY: this JOIN
 * has it already; -EDQUOT: limits.rooms; -ENOMEM. */
int joins_enter(struct server *s, struct connection *c, const char *room, struct joined **out);
/* Out of it after all. `for_now`: where a back end has led it in it stays, deaf, so that the next JOIN finds it let in. */
void joins_leave(struct server *s, struct connection *c, struct joined *j, bool for_now);
/* Out of a room that a JOIN may not enter, if it was in it; -EALREADY: this JOIN has let it in by another mention, before a pass ended; 1: a
 * back end has led it in by now, so it may. */
int joins_leave_refused(struct server *s, struct connection *c, const char *room);
/* False: it was not in it. */
bool joins_leave_named(struct server *s, struct connection *c, const char *room);
/* How many it was in. */
size_t joins_leave_all(struct server *s, struct connection *c);
/* No longer busy: if a back end wanted it out meanwhile, it goes, with a NOTICE. 0, or -errno of joins_queue. */
int joins_done(struct server *s, struct connection *c, struct joined *j);
/* Before each packet: out of the rooms whose pass is over, with a NOTICE each. 0, or -errno of joins_queue. */
int joins_end_passes(struct server *s, struct connection *c);
/* A new token may grant less: out of the rooms that it does not, with a NOTICE each. 0, or -errno of joins_queue. */
int joins_renewed(struct server *s, struct connection *c);

/* What the client missed is to be replayed from here on; it stays busy until that is over. */
void joins_begin(struct connection *c, struct joined *j, uint64_t at);
/* Go on with that. 0: nothing is left; READER_PARKED; -EPIPE: closed; -ENOMEM. */
int joins_replay(struct server *s, struct connection *c);

#endif
