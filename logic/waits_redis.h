/* waits_redis: back ends that wait for entries of a stream in Redis, each on a connection of its own. Any thread.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_WAITS_REDIS_H
#define LOGIC_WAITS_REDIS_H

#include <stdbool.h>

#include "common/base/lock.h"
#include "common/config/config.h"
#include "logic/upstream.h"

/* Each holds a thread of the HTTP server and a connection to Redis. */
#define WAITS_REDIS_MAX 64

struct redis;
struct redisReply;

struct waits_redis {
	/* set once */
	const struct config *cfg;
	const char *name, *stream; /* of the connections, in logs; and behind the prefix */
	/* under lock */
	struct lock lock;
	bool stopped;
	struct redis *readers[WAITS_REDIS_MAX]; /* those that wait; NULL: free */
};

/* Never fails. */
void waits_redis_init(struct waits_redis *w, const struct config *cfg, const char *name, const char *stream);
void waits_redis_fini(struct waits_redis *w);

/* `begin`, or NULL, may put another id in the place of query->after first. Hand the entries after it, an id of Redis's, to `take`, which counts those that it takes into *n and may ask more of the connection;
 * waits for the first as the query says. 0, also with none; -EBUSY: too many wait already; -ENOMEM; -ERR_NO_LOGIC; the errors of both. */
int waits_redis_read(struct waits_redis *w, const struct upstream_query *query,
		     int (*begin)(void *arg, struct redis *r, const char **after),
		     int (*take)(void *arg, struct redis *r, const struct redisReply *entries), void *arg, size_t *n)
	WITHOUT(w->lock);
/* Those that wait return, and later ones do not wait. */
void waits_redis_stop(struct waits_redis *w) WITHOUT(w->lock);

#endif
