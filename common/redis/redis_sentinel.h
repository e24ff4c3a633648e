/* redis_sentinel: what a Sentinel is asked, on the thread of the connection. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_SENTINEL_H
#define COMMON_REDIS_REDIS_SENTINEL_H

#include <stddef.h>

#include "common/redis/redis.h"
#include "common/redis/redis_inner.h"

/* A place for redis_dial: "host:port", "[v6]:port". */
void redis_sentinel_place(const char *host, const char *port, char *place, size_t bytes);

/* Connect to this Sentinel and be let in; r is its connection until redis_hang_up. 0; -errno as of redis_dial, -EACCES */
int redis_sentinel_open(struct redis *r, const char *sentinel);
/* Ask it, on a connection of its own, which is closed again: where is the master? 0; -errno; -ENOENT: it does not know that one. */
int redis_sentinel_ask(struct redis *r, const char *sentinel, char *place, size_t bytes);
/* To the log: what came of asking. */
void redis_sentinel_say(const struct redis *r, int rc);

#endif
