/* redis_lease: a comet's own data in Redis: its lease on its name, and its rooms.
 *
 * The lease has an epoch: sessions are valid only under it, and a second comet of the same name cannot take it while it is
 * renewed. The rooms are there so that a push to a room goes only to comets that have it. These two do not go through
 * logic, because they must not lapse while all logics are down. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_LEASE_H
#define LOGIC_CLIENT_REDIS_LEASE_H

#include <stdbool.h>

#include "cluster/member.h"
#include "common/base/client_ports.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_pipe.h"
#include "common/wire/wire.h"

struct redis_lease;

/* Called by the lease's thread. */
struct redis_lease_owner {
	/* Redis has lost connections of this comet, or may have: all are to be registered again. Losses are counted. */
	void (*lost)(void *self, unsigned loss);
	/* Another comet has the name: see struct redis_client_options. At most once. */
	void (*fenced)(void *self);
	void *self;
};

/* Take the lease, as redis_client_start says, then keep it on a thread. `clock` is set by every answer; owner is copied, the others
 * outlive it. */
int redis_lease_start(const struct cluster_member *member, struct redis_pipe *pipe, struct redis_clock *clock,
		      const struct redis_lease_owner *owner, struct redis_lease **out);
void redis_lease_stop(struct redis_lease **l);
/* It stays the same from start to stop. */
const char *redis_lease_epoch(const struct redis_lease *l);

/* The connections that this loss took are registered again. Says nothing where another loss came since. */
void redis_lease_registered(struct redis_lease *l, unsigned loss);
/* What is written for this comet is numbered, in Redis; a logic has told the number of one of these writes. Any thread. */
void redis_lease_written(struct redis_lease *l, uint64_t number);
/* From now on the lease says `leaving`: this comet is not told to clients as a node, and a comet that wants its name waits for
 * it to go. Written by the lease's thread, at once. */
void redis_lease_leave(struct redis_lease *l);
/* The doors are open: the next renewal says where. Any thread. */
void redis_lease_opened(struct redis_lease *l, struct client_ports ports);
/* See struct logic_client. */
void redis_lease_join(struct redis_lease *l, const char *const *rooms, size_t n);
void redis_lease_expect(struct redis_lease *l, const char *room);
/* Write the changes since the last report. 0 or -ERR_NO_LOGIC, -ENOMEM. One thread calls it. */
int redis_lease_report(struct redis_lease *l, const struct wire_load *load, const struct wire_room_count *rooms,
		       size_t n);
/* Was the lease renewed within redis.lease? */
bool redis_lease_stands(struct redis_lease *l);

#endif
