/* redis_inner: a connection from inside, for the other files of common/redis. On its thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_INNER_H
#define COMMON_REDIS_REDIS_INNER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/redis/redis_backoff.h"
#include "common/redis/redis_master.h"
#include "common/redis/redis_options.h"
#include "common/redis/redis_said.h"

struct redisContext; /* hiredis/hiredis.h */

#define REDIS_PLACE_BYTES REDIS_MASTER_BYTES
#define REDIS_LEFT        "the Sentinels name another master"

/* What `said` has the words of. */
enum redis_heard {
	REDIS_HEARD_NOTHING,
	REDIS_HEARD_NO,    /* an error reply */
	REDIS_HEARD_BREAK, /* the connection broke, or no answer came */
};

struct redis {
	unsigned magic;
#define REDIS_MAGIC 0x4ed15000
	/* set once */
	struct redis_options opt;
	int wake_fd; /* readable from redis_stop on */
	atomic_bool stopped;
	/* any thread */
	struct redis_said said;
	atomic_llong down_ns; /* since then it is of no use; 0: it is */
	/* the owner's */
	struct redisContext *context; /* NULL: not connected */
	bool is_up;                   /* greeted: one that is lost before is none that was lost */
	bool fresh;                   /* a new connection that redis_ready has not told of yet */
	enum redis_heard heard;       /* last */
	struct redis_backoff backoff;
	unsigned switches;             /* of the master, when it was made */
	char where[REDIS_PLACE_BYTES]; /* the place of the connection, for the log */
};

/* Connect, and say nothing yet; as redis_dial. */
int redis_dial_to(struct redis *r, const char *place);
/* Close it, without a word in the log. */
void redis_hang_up(struct redis *r);
/* Until it is readable (fd < 0: until the deadline). 0, -ETIMEDOUT, -ESHUTDOWN; -ESTALE: there is another master. */
int redis_wait(struct redis *r, int fd, int64_t deadline_ns);
/* It is of no use from now on, if it was; or it is again. */
void redis_set_down(struct redis *r, bool down);
/* Is there another master since the connection was made? */
bool redis_was_left(const struct redis *r);

#endif
