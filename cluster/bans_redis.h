/* bans_redis: the bans of a cluster. Redis has them; each comet and each logic holds a copy, to which a thread adds what is new, twice a
 * second. It asks, and is not told: so nothing is missed when a connection breaks. After a loss of data each writes its copy again, and
 * the newest of each name stays, by its stamp. cluster/schema.md has the keys. SPDX-License-Identifier: MIT */
#ifndef CLUSTER_BANS_REDIS_H
#define CLUSTER_BANS_REDIS_H

#include "common/config/config.h"
#include "common/redis/redis_pipe.h"
#include "common/wire/bans.h"

struct bans_redis;

/* Start the thread; the arguments outlive it. `bans` are not known until all have been read once. 0, or worker_start's errors. */
int bans_redis_start(const struct config *cfg, struct redis_pipe *pipe, struct bans *bans, struct bans_redis **out);
/* Waits for redis.timeout at most. */
void bans_redis_stop(struct bans_redis **r);

/* Keep new ones, as logic/ban_keeper.h says; self is the struct bans_redis *. */
int bans_redis_put(void *self, struct ban *list, size_t n);

#endif
