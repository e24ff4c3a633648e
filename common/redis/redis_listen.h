/* redis_listen: a subscription to one channel that outlasts its connection. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_LISTEN_H
#define COMMON_REDIS_REDIS_LISTEN_H

#include "common/redis/redis.h"

struct redis_listener {
	const char *channel;
	/* Each message of Redis on the connection, the confirmation of the subscription included. Takes the reply over. */
	void (*take)(void *self, struct redisReply *reply);
	/* From now on nothing comes, until `take` says so again. May be NULL. */
	void (*lost)(void *self);
	void *self;
};

struct redisReply; /* hiredis/read.h */

/* The text that somebody published, if the reply is such a message; otherwise NULL. It stays the reply's. */
const struct redisReply *redis_listen_text(const struct redisReply *reply);

/* Subscribe, listen, and begin again after each break, until redis_stop(r); the calling thread is the connection's owner
 * meanwhile. One on which nothing comes for five seconds is asked whether it lives, and dropped if it says nothing. */
void redis_listen(struct redis *r, const struct redis_listener *l);

#endif
