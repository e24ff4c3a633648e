/* logic: authentication, the registry, and the way of a push. The same code in a comet that runs alone and in comet-logic:
 * only registry and bus differ. Any thread; blocks as registry and bus do; holds no lock of its own while it calls them.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_LOGIC_H
#define LOGIC_LOGIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/client_ports.h"
#include "common/base/kept.h"
#include "common/config/config.h"
#include "common/http/http_health.h"
#include "common/wire/bans.h"
#include "common/wire/fate.h"
#include "common/wire/wire.h"
#include "logic/auth.h"
#include "logic/ban_keeper.h"
#include "logic/bus.h"
#include "logic/histories.h"
#include "logic/people.h"
#include "logic/registry.h"
#include "logic/repeats.h"
#include "logic/tidings.h"
#include "logic/unacked_memory.h"
#include "logic/upstream.h"

struct logic {
	const struct config *cfg;
	bool alone;                /* in the same program as the one comet, whose counters these are, too */
	const char *cluster;       /* name of the data in Redis; NULL: there are none */
	struct client_ports ports; /* that comet's doors, once they are open */
	struct auth *auth;
	struct bans *bans; /* NULL: none, and none can be made */
	struct ban_keeper ban_keeper;
	struct registry registry;
	struct bus bus;
	struct upstream upstream;
	struct tidings tidings;
	struct kept kept; /* stream.rooms and stream.users */
	struct histories histories;
	struct people people;
	struct repeats *repeats; /* NULL: the bus knows a push that comes again */
	bool tells_unacked;      /* pushes may be awaited (confirm_ms), */
	struct unacked *unacked; /* here; NULL: the bus does it */
	struct http_health health;
};

/* Are pushes to this room numbered and kept? */
static inline bool logic_keeps(const struct logic *l, const char *room)
{
	return kept_of(&l->kept, room) != NULL;
}

/* From comets. Results and errors as in logic_client.h, whose table they fill. When connect replaces a
 * registration that another connection holds, that one is kicked ("replaced") by its session id. */
int logic_connect(struct logic *l, const char *server, const struct wire_connect *request,
		  struct wire_session *session);
/* 0 also where it was not registered any more; -ERR_NO_LOGIC, -ENOMEM: it may still be. */
int logic_disconnect(struct logic *l, const char *server, const struct seat *seat);
/* A new token of an authenticated connection: how long it may stay now. */
int logic_reauth(struct logic *l, const char *server, const struct wire_connect *request, const struct seat *seat,
		 struct wire_renewal *renewal);
/* Passes to rooms, as in logic_client.h. */
int logic_permit(struct logic *l, const struct wire_connect *request, const struct seat *seat,
		 const struct wire_room_count *rooms, size_t n, struct grants **grants);
/* Where a newer connection has the key, this one is kicked ("replaced"), which is 0, too. *written: as in a session. */
int logic_heartbeat(struct logic *l, const char *server, const struct seat *seat, uint64_t *written);
int logic_renew_online(struct logic *l, const struct registry_server *server, const struct wire_room_count *rooms,
		       size_t n, void (*each)(void *arg, const char *room, int64_t count), void *arg);
/* A packet with an application's op, for the back end. */
int logic_receive(struct logic *l, const char *server, const struct seat *seat, const struct packet *p);

/* The ports where clients find a comet: those of the comet around us, otherwise those that cfg has for the whole cluster. */
struct client_ports logic_client_ports(const struct logic *l);

/* Calls of back ends that wait for packets return now, and later calls do not wait: for http_stop, which waits for them. */
void logic_stop_waiting(struct logic *l);

/* A push whose end is not known yet; the fields are logic_push.c's. */
struct logic_flight {
	struct wire_push push;
	struct bus_names names; /* those that it is for, where the bus finds them, */
	void *texts;            /* and the texts of users; or NULL */
	struct fate own_fate, *fate;
	struct bus_flight *over_bus;
	struct tour *tour; /* to users who are kept (logic_kept.c), in place of all that */
};

/* A message that a back end has pushed. The body is the caller's. */
struct logic_message {
	int32_t op;
	const void *body;
	size_t body_bytes;
	struct fate
		*fate; /* NULL: nobody wants to know. Filled in by a push to keys, users or a room that is accepted */
	bool unkept;   /* it is for those who are there now, has no number, and is not kept */
	const char *
		name; /* to a room, or to users who are kept: the caller's name for this push, at most REPEATS_NAME_BYTES long; NULL: it has none */
	int64_t confirm_ms; /* to users who are kept: tell "unacked" if no device of one has confirmed it after so long; 0: it is not told */
	uint64_t *
		numbers; /* to users: NULL, or a place for the number that it gets in the stream of each, 0 where it has none */
	struct logic_flight *flight; /* NULL: the push returns when it is accepted; or see logic_push_end */
};

/* Does this push to users get into their streams? */
static inline bool logic_keeps_users(const struct logic *l, const struct logic_message *m)
{
	return kept_has_users(&l->kept) && !m->unkept;
}

/* From back ends. 0: accepted, from now on delivered or counted (nobody online is accepted too); -EAGAIN: queue full,
 * nothing or only a part was taken (logged, counted); -ERR_NO_LOGIC; -ENOMEM; -EMSGSIZE. */
int logic_push_keys(struct logic *l, const struct logic_message *m, const char *const *keys, size_t n);
/* Of one that is kept -E2BIG, too: to more than stream.mids_max. A user who is named twice gets it once. It goes to one after the other: after
 * an error some may have it. */
int logic_push_users(struct logic *l, const struct logic_message *m, const struct user *users, size_t n);
/* *number: its number in the room's stream, 0 if it has none, or nobody knows it any more. A push whose name came before is not made again: 0, and the first
 * one's number. -EBUSY: that one is still under way; -EMSGSIZE also where it is too long to be kept. */
int logic_push_room(struct logic *l, const struct logic_message *m, const char *room, uint64_t *number);
/* Forget the history of a stream that is kept, of a room or a user by its name (common/base/kept.h): it jumps, and those who have it are
 * told of a gap. *at: the new number, 0 where there was no stream. */
int logic_clear(struct logic *l, const char *name, uint64_t *at);
/* speed: deliveries a second over the whole cluster, 0 = no limit. */
int logic_push_all(struct logic *l, const struct logic_message *m, uint32_t speed);
/* The second half of a push that returned -EINPROGRESS, as it may where its message has a flight: the caller may have many pushes under
 * way, in their order. All that it was given stays where it is until then. Returns what the push would have; *number is of a push to one user who is kept, or to
 * a room. */
int logic_push_end(struct logic *l, struct logic_flight *flight, uint64_t *number);
/* Op 6 and close; *n gets how many registrations were told. */
int logic_kick_keys(struct logic *l, const char *const *keys, size_t n_keys, size_t *n);
int logic_kick_users(struct logic *l, const struct user *users, size_t n_users, size_t *n);

/* Lead the connections of these keys or users into rooms (WIRE_JOIN), or out of them (WIRE_LEAVE), before all that is pushed from now on;
 * *n gets how many were told. They are told of the rooms in their order: an error leaves the rest of them. As the pushes. */
int logic_lead_keys(struct logic *l, enum wire_target target, const char *const *rooms, size_t n_rooms,
		    const char *const *keys, size_t n_keys, size_t *n);
int logic_lead_users(struct logic *l, enum wire_target target, const char *const *rooms, size_t n_rooms,
		     const struct user *users, size_t n_users, size_t *n);

/* ---- keeping out: logic_bans.c ---- */

/* Keep these; of each, kind, name, until_ms, before_s and lifted are given. Comets end the connections that they concern, within a
 * second. As ban_keeper.h says. */
int logic_ban(struct logic *l, struct ban *list, size_t n);
/* Is this client to be kept out? Without a seat by its address, before anybody has asked who it is; with one by user, key and token. 0; -ERR_BANNED, or -ERR_REFUSED where its
 * token was taken back, with words for it: counted, logged. -ERR_NO_LOGIC: bans are not known yet. */
int logic_keeps_out(struct logic *l, const char *peer, const struct seat *seat, int64_t issued_s,
		    char refusal[WIRE_TEXT_BYTES]);

#endif
