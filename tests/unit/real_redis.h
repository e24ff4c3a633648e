/* real_redis: a redis-server of a test's own, with a folder, a socket and a port that nobody else has. It goes with the test, however
 * that ends. SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_REAL_REDIS_H
#define TESTS_UNIT_REAL_REDIS_H

#include <sys/types.h>

#include "common/config/config.h"

struct redisContext;

struct real_redis {
	pid_t pid;
	int port; /* on 127.0.0.1 */
	char folder[64];
	struct redisContext *c; /* the test's own connection to it */
};

/* Fails the test where there is no redis-server. Called before there are threads. */
void real_redis_start(struct real_redis *r);
/* Nothing where it did not start. */
void real_redis_stop(struct real_redis *r);
/* Stop it, and start it again on the same port, without its data and its scripts. */
void real_redis_restart(struct real_redis *r);

/* The defaults, with this server as redis.addr. config_fini undoes it. */
void real_redis_config(const struct real_redis *r, struct config *cfg);

/* Run a command, words with spaces between. Returns its reply as a text that is good until the next call: elements with spaces
 * between, arrays in arrays in parentheses, "nil" for nil, "" as ''. */
const char *real_redis_say(struct real_redis *r, const char *command);
/* The same with the arguments apart. */
const char *real_redis_sayv(struct real_redis *r, int argc, const char **argv, const size_t *bytes);

#endif
