/* fence: which rooms a client may enter and which operations it may accept, by auth.rooms, auth.ops and what its token grants. What
 * is refused is counted and logged. For the reader. SPDX-License-Identifier: MIT */
#ifndef COMET_FENCE_H
#define COMET_FENCE_H

#include "comet/connection.h"
#include "comet/server.h"
#include "common/wire/wire.h"

/* Where something was asked for that is not granted: labels of comet_not_granted_total. */
enum fence_cause {
	FENCE_AUTH_ROOM,    /* the room to start in: let in, in no room */
	FENCE_AUTH_OPS,     /* operations to start with: without those */
	FENCE_ROOM,         /* op 12: in no room from now on */
	FENCE_JOIN,         /* op 18: an error for this room */
	FENCE_OPS,          /* op 14: without those */
	FENCE_RENEWED_ROOM, /* a new token grants less: taken out of that room */
	FENCE_EXPIRED_ROOM, /* the pass to it is over: the same */
	FENCE_CAUSES
};

/* Ask logic for passes to those of these rooms that nothing grants: by these tickets, a line each ("": none), or because auth.rooms is
 * webhook. They count until fence_forget. Waits for logic, if there is something to ask, and says so to the park. 0; -ERR_NO_LOGIC:
 * it cannot be told; -ENOMEM. */
int fence_ask(const struct server *s, struct connection *c, const char *const *rooms, size_t n, const char *tickets);
void fence_forget(struct connection *c);
/* May it enter this room? Nothing is counted. */
bool fence_grants(const struct server *s, const struct connection *c, const char *room);
/* May it enter this room? "" is none, and granted. */
bool fence_lets_in(const struct server *s, const struct connection *c, const char *room, enum fence_cause cause);
/* The end of its pass to this room that it may enter, as a membership has it; 0: none is needed. */
int64_t fence_until(const struct server *s, const struct connection *c, const char *room);
/* The pass to this room is over, and it was left: counted, and logged. */
void fence_say_over(const struct connection *c, const char *room);
/* Before each packet: out of the room of AUTH and op 12 if the pass to it is over (those of JOIN: joins_end_passes). */
void fence_end_pass(struct server *s, struct connection *c);
/* Leave of these operations those that are granted; how many are left. */
size_t fence_ops(const struct server *s, const struct connection *c, int32_t *ops, size_t n, enum fence_cause cause);

/* A client of version 1, which accepts all there is, accepts from now on all that it may. 0; -ENOBUFS: more than
 * limits.accepts; -ENOMEM. */
int fence_watch_all(const struct server *s, struct connection *c);

/* A new token has other grants, which are the connection's: may it stay in this room, where it is? To the end of its pass, if it has
 * entered by one. What is not granted is counted. */
bool fence_keeps(const struct server *s, const struct connection *c, struct membership *m, const char *room);
/* A new token has other grants, which become the connection's: it leaves the room of its place if that is not granted any more (those
 * that it has joined: joins_renewed), and no longer accepts operations that are not. 0 or -ENOMEM. */
int fence_renew(struct server *s, struct connection *c, struct grants *grants);

/* Say so where tokens are checked, and fence nothing. At the start. */
void fence_warn(const struct config *cfg);

#endif
