/* online_redis: the comets of a cluster and the counts of their rooms, as the comets have written them into Redis. Part of
 * registry_redis. Any thread, no lock held: it waits for Redis. SPDX-License-Identifier: MIT */
#ifndef LOGIC_ONLINE_REDIS_H
#define LOGIC_ONLINE_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/lock.h"
#include "common/config/config.h"
#include "common/redis/redis_pipe.h"
#include "logic/registry.h"

/* The fields are online_redis.c's. */
struct online_redis {
	/* set once */
	const struct config *cfg;
	struct redis_pipe *pipe;
	int64_t timeout_ns;
	int64_t lease_ms;
	/* under lock */
	struct lock lock;
	struct registry_rooms rooms;
	int64_t rooms_ns;      /* when they were fetched; 0: never */
	bool fetching, failed; /* one is under way; the last one failed */
};

/* Never fails; cfg and pipe outlive it. */
void online_redis_init(struct online_redis *o, const struct config *cfg, struct redis_pipe *pipe);
void online_redis_fini(struct online_redis *o);

/* See struct registry. */
int online_redis_servers(struct online_redis *o, struct registry_servers *out) WITHOUT(o->lock);
int online_redis_rooms(struct online_redis *o, struct registry_rooms *out) WITHOUT(o->lock);

#endif
