/* logic_client: the wire up to logic, and the pushes that come down. An interface with two makers: comet/alone.c (direct
 * calls) and redis_client.c (over Redis). All calls block, each with a deadline; any thread; call them with no lock held.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_LOGIC_CLIENT_H
#define LOGIC_CLIENT_LOGIC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/acks.h"
#include "common/wire/packet.h"
#include "common/wire/resume.h"
#include "common/wire/wire.h"

/* Another comet, for clients that have to leave. */
#define LOGIC_NODE_BYTES 128
struct logic_node {
	char address[LOGIC_NODE_BYTES]; /* host or host:port, the first of its server.addrs */
	int64_t weight;
	bool near; /* of this comet's region */
};

struct logic_client {
	/* 0 and *session, whose `accepts` is the caller's to free; -ERR_REFUSED with session->refusal; -ERR_NO_LOGIC; -ENOMEM. */
	int (*connect)(void *self, const struct wire_connect *request, struct wire_session *session);
	/* The connection is in its bucket now, where pushes find it; a kick that came before that is delivered again. */
	void (*arrived)(void *self, const struct seat *seat);
	/* A new token of an authenticated connection. 0 and *renewal; -ERR_REFUSED with renewal->refusal: it is to be closed;
	 * -ERR_NO_LOGIC; -ENOMEM. */
	int (*reauth)(void *self, const struct wire_connect *request, const struct seat *seat,
		      struct wire_renewal *renewal);
	/* Which of these rooms may the connection enter, by the tickets in request->token, a line each? *grants has passes to them, and is the
	 * caller's; NULL: none. 0; -ERR_NO_LOGIC: ask again; -ENOMEM. */
	int (*permit)(void *self, const struct wire_connect *request, const struct seat *seat,
		      const struct wire_room_count *rooms, size_t n, struct grants **grants);
	/* For a session that takes over: from now on pushes to the key come here, and the connection that had it is closed. The
	 * connection is where pushes find it, and in its room. 0 or -ERR_NO_LOGIC. NULL: no session ever does. */
	int (*take_over)(void *self, const struct seat *seat);
	/* The connection of this registration has gone. Does not wait: a disconnect that cannot be told now is remembered. Only
	 * where a million wait already, or without memory, is it dropped, which is counted and logged; the registration then
	 * ends with its time to live. */
	void (*disconnect)(void *self, const struct seat *seat);
	/* The connection is still there: renews its registration. Does not wait for an answer. 0 or -ERR_NO_LOGIC. */
	int (*heartbeat)(void *self, const struct seat *seat);
	/* Tell how many are in each room of this comet (rooms not named have nobody), then hand every room's count over all
	 * comets to `each`. 0 or -ERR_NO_LOGIC. */
	int (*renew_online)(void *self, const struct wire_load *load, const struct wire_room_count *rooms, size_t n,
			    void (*each)(void *arg, const char *room, int64_t count), void *arg);
	/* A connection has come into these rooms: when it returns, pushes to them find this comet, and the client may be
	 * told that it is in. Waits only for rooms that were empty here, many at a time, and for at most twice redis.lease. */
	void (*join)(void *self, const char *const *rooms, size_t n);
	/* A back end leads connections into this room, and logic has written down that it is here: it stays so. Does not wait. NULL: logic
	 * knows which rooms are here without being told. */
	void (*expect)(void *self, const char *room);
	/* From now on this comet is not told to clients as a node. Hands out up to `max` others that are, the least loaded for
	 * their weights first; returns how many. NULL: there are never any. */
	size_t (*go_away)(void *self, struct logic_node *others, size_t max);
	/* A packet with an application's op, on its way to the back end. 0 or -ERR_NO_LOGIC. */
	int (*receive)(void *self, const struct seat *seat, const struct packet *p);
	/* Read the numbered streams of rooms, each with its own rc; waits. NULL: they are nowhere else. */
	void (*resume)(void *self, struct resume *all, size_t n, int64_t deadline_ns);
	/* The numbers of these streams, which have members here, live on. 0 or -ERR_NO_LOGIC. NULL as well. */
	int (*stay)(void *self, const char *const *rooms, size_t n);
	/* What devices of n users have confirmed; and what all of one have, for acks_fini. Both wait up to deadline_ns. 0; -ERR_NO_LOGIC,
	 * -ENOMEM. NULL as well. */
	int (*confirm)(void *self, const struct acks_of *all, size_t n, int64_t deadline_ns);
	int (*confirmed)(void *self, const char *name, int64_t deadline_ns, struct acks *out);
	bool waits_to_ask;  /* connect, reauth, permit and take_over wait for another program, */
	bool waits_to_tell; /* and so do join and receive */
	void *self;
};

/* How the calls are written. */
static inline int logic_client_connect(const struct logic_client *l, const struct wire_connect *request,
				       struct wire_session *session)
{
	return l->connect(l->self, request, session);
}

static inline void logic_client_arrived(const struct logic_client *l, const struct seat *seat)
{
	l->arrived(l->self, seat);
}

static inline int logic_client_reauth(const struct logic_client *l, const struct wire_connect *request,
				      const struct seat *seat, struct wire_renewal *renewal)
{
	return l->reauth(l->self, request, seat, renewal);
}

static inline int logic_client_permit(const struct logic_client *l, const struct wire_connect *request,
				      const struct seat *seat, const struct wire_room_count *rooms, size_t n,
				      struct grants **grants)
{
	return l->permit(l->self, request, seat, rooms, n, grants);
}

static inline int logic_client_take_over(const struct logic_client *l, const struct seat *seat)
{
	return l->take_over != NULL ? l->take_over(l->self, seat) : 0;
}

static inline void logic_client_disconnect(const struct logic_client *l, const struct seat *seat)
{
	l->disconnect(l->self, seat);
}

static inline int logic_client_heartbeat(const struct logic_client *l, const struct seat *seat)
{
	return l->heartbeat(l->self, seat);
}

static inline int logic_client_renew_online(const struct logic_client *l, const struct wire_load *load,
					    const struct wire_room_count *rooms, size_t n,
					    void (*each)(void *arg, const char *room, int64_t count), void *arg)
{
	return l->renew_online(l->self, load, rooms, n, each, arg);
}

static inline void logic_client_join(const struct logic_client *l, const char *const *rooms, size_t n)
{
	l->join(l->self, rooms, n);
}

static inline void logic_client_expect(const struct logic_client *l, const char *room)
{
	if (l->expect != NULL)
		l->expect(l->self, room);
}

static inline size_t logic_client_go_away(const struct logic_client *l, struct logic_node *others, size_t max)
{
	return l->go_away != NULL ? l->go_away(l->self, others, max) : 0;
}

static inline int logic_client_receive(const struct logic_client *l, const struct seat *seat, const struct packet *p)
{
	return l->receive(l->self, seat, p);
}

/* Where pushes arrive in a comet. -EAGAIN: its push queue stayed full until its deadline, nothing was taken. */
typedef int push_sink(void *self, const struct wire_push *push);

#endif
