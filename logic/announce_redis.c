/* announce_redis: see announce.h. In comet:logics each instance stands with the time, on Redis's clock, until which it counts
 * as up. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cluster/schema.h"
#include "cluster/script.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/signals.h"
#include "common/base/worker.h"
#include "common/redis/redis_name.h"
#include "common/redis/redis_reply.h"
#include "logic/announce.h"

struct announce {
	unsigned magic;
#define ANNOUNCE_MAGIC 0xa4404ce0
	/* set once */
	const struct config *cfg;
	struct redis_pipe *pipe;
	struct redis_clock *clock;
	const char *instance;
	const char *cluster;
	struct worker worker;
	/* any thread */
	atomic_llong announced_ns; /* when Redis last took it; 0: never */
	/* under lock */
	struct lock lock;
	bool hearing;
	bool stopped; /* there is no worker to wake any more */
};

/* Every instance removes those whose time was over a minute ago: their own program cannot any more. */
static void say_up(struct announce *a)
{
	int64_t asked = clock_now_ns();
	struct redisReply *reply;

	if (script_run(a->pipe, &script_announce, asked + a->cfg->redis_timeout * CLOCK_MS, &reply, "%s %lld %d %s",
		       a->instance, (long long)a->cfg->redis_lease, SCHEMA, a->cluster) < 0)
		return; /* the pipe has logged why */
	if (redis_reply_says(reply, "ok")) {
		redis_clock_set(a->clock, redis_reply_number(reply, 1));
		redis_clock_compare(redis_reply_number(reply, 1), asked);
		atomic_store(&a->announced_ns, clock_now_ns());
	} else {
		schema_say(redis_reply_number(reply, 1));
		/* Newer programs were started while Redis had none of ours: the data are theirs. */
		if (redis_reply_says(reply, "newer"))
			signals_send_stop();
	}
	freeReplyObject(reply);
}

static void say_gone(struct announce *a)
{
	int64_t deadline = clock_now_ns() + a->cfg->redis_timeout * CLOCK_MS;

	if (atomic_load(&a->announced_ns) != 0)
		(void)redis_pipe_call(a->pipe, REDIS_AGAIN, deadline, NULL, "ZREM %s %s",
				      redis_name_key(a->cfg, "logics", "").text, a->instance);
}

static bool is_hearing(struct announce *a)
{
	bool hearing;

	lock_take(&a->lock);
	hearing = a->hearing;
	lock_drop(&a->lock);
	return hearing;
}

/* Three times in the time for which an announcement holds. */
static void keep_announced(void *arg)
{
	struct announce *a = arg;
	bool hearing;

	OBJ_CHECK(a, ANNOUNCE_MAGIC);
	do {
		if ((hearing = is_hearing(a)))
			say_up(a);
	} while (worker_wait(&a->worker, hearing ? clock_now_ns() + a->cfg->redis_lease * CLOCK_MS / 3 : WORKER_IDLE));
}

void announce_set_hearing(struct announce *a, bool hearing)
{
	OBJ_CHECK(a, ANNOUNCE_MAGIC);
	lock_take(&a->lock);
	a->hearing = hearing;
	if (!a->stopped)
		worker_wake(&a->worker);
	lock_drop(&a->lock);
}

bool announce_stands(struct announce *a)
{
	int64_t said_ns;

	OBJ_CHECK(a, ANNOUNCE_MAGIC);
	said_ns = atomic_load(&a->announced_ns);
	return is_hearing(a) && said_ns != 0 && clock_now_ns() - said_ns < a->cfg->redis_lease * CLOCK_MS;
}

/* ---- start and stop ---- */

int announce_start(const struct config *cfg, struct redis_pipe *pipe, const char *instance, struct redis_clock *clock,
		   const char *cluster, struct announce **out)
{
	struct announce *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL)
		return -ENOMEM;
	a->magic = ANNOUNCE_MAGIC;
	a->cfg = cfg;
	a->pipe = pipe;
	a->clock = clock;
	a->instance = instance;
	a->cluster = cluster;
	lock_init(&a->lock, LOCK_SERVICE);
	if ((rc = worker_start(&a->worker, "announce", keep_announced, a)) < 0) {
		announce_free(&a);
		return rc;
	}
	*out = a;
	return 0;
}

void announce_stop(struct announce *a)
{
	OBJ_CHECK(a, ANNOUNCE_MAGIC);
	lock_take(&a->lock);
	a->stopped = true;
	lock_drop(&a->lock);
	worker_stop(&a->worker);
	say_gone(a);
}

void announce_free(struct announce **announce)
{
	struct announce *a = *announce;

	OBJ_CHECK(a, ANNOUNCE_MAGIC);
	lock_fini(&a->lock);
	a->magic = 0;
	free(a);
	*announce = NULL;
}
