/* fake_redis: a server that speaks Redis's protocol as a test wants it: it hands every command to the test, which says what
 * goes back. SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_REDIS_H
#define TESTS_UNIT_FAKE_REDIS_H

#include <pthread.h>
#include <stdbool.h>

#include "common/config/config.h"
#include "common/redis/redis_pipe.h"

#define FAKE_REDIS_ARGS 640

/* One command: its arguments as strings. Returns the bytes to send, static; "" to say nothing; NULL to close. Runs on the
 * server's thread. */
typedef const char *fake_redis_answer(void *arg, int argc, char **argv);

struct fake_redis_peer;

struct fake_redis {
	char addr[32]; /* host:port */
	struct fake_redis_peer *peers;
	fake_redis_answer *answer;
	void *arg;
	int listener;
	int stop[2];
	pthread_t thread;
};

void fake_redis_start(struct fake_redis *f, fake_redis_answer *answer, void *arg);
void fake_redis_stop(struct fake_redis *f);

/* The defaults, with this server as redis.addr. config_fini undoes it. */
void fake_redis_config(const struct fake_redis *f, struct config *cfg);
/* A pipe to the server of a config. redis_pipe_stop ends it. */
struct redis_pipe *fake_redis_pipe(const struct config *cfg);

/* Send these bytes to every connection that has said SUBSCRIBE. Only from inside an answer. */
void fake_redis_tell(struct fake_redis *f, const char *bytes);

/* Does this command run the script of this name (cluster/script.def), or any where name is NULL? */
bool fake_redis_runs(char **argv, const char *name);

/* What a server that works says to the commands by which a connection begins; NULL for all others. */
const char *fake_redis_hello(int argc, char **argv);

#endif
