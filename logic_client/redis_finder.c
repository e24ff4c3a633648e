/* redis_finder: see redis_finder.h. SPDX-License-Identifier: MIT */
#include "logic_client/redis_finder.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/script.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/worker.h"
#include "common/redis/redis_reply.h"

struct redis_finder {
	unsigned magic;
#define REDIS_FINDER_MAGIC 0xf14de400
	/* set once */
	const struct config *cfg;
	struct redis_pipe *pipe;
	struct redis_clock *clock;
	struct worker looker;
	/* the looker's */
	int64_t nobody_since_ns; /* the first of the looks one after the other that found nobody; 0: the last one found somebody */
	bool is_missed; /* and that was said */
	/* under lock */
	struct lock lock;
	bool stop;
	pthread_cond_t looked; /* for calls that wait for an instance */
	struct redis_instances instances;
};

bool redis_finder_has(struct redis_finder *f)
{
	bool has;

	OBJ_CHECK(f, REDIS_FINDER_MAGIC);
	lock_take(&f->lock);
	has = f->instances.n > 0;
	lock_drop(&f->lock);
	return has;
}

bool redis_finder_pick(struct redis_finder *f, const char *but, int64_t deadline_ns, char name[REDIS_INSTANCE_BYTES])
{
	bool found;

	OBJ_CHECK(f, REDIS_FINDER_MAGIC);
	lock_take(&f->lock);
	while (!(found = redis_instances_pick(&f->instances, but, name)) && !f->stop) {
		worker_wake(&f->looker);
		if (!lock_wait_until(&f->looked, &f->lock, deadline_ns))
			break;
	}
	lock_drop(&f->lock);
	return found;
}

void redis_finder_gone(struct redis_finder *f, const char *name)
{
	OBJ_CHECK(f, REDIS_FINDER_MAGIC);
	lock_take(&f->lock);
	redis_instances_gone(&f->instances, name);
	lock_drop(&f->lock);
}

void redis_finder_silent(struct redis_finder *f, const char *name)
{
	OBJ_CHECK(f, REDIS_FINDER_MAGIC);
	lock_take(&f->lock);
	redis_instances_silent(&f->instances, name);
	lock_drop(&f->lock);
}

/* ---- the thread ---- */

/* Those whose lease is not over. The first element is Redis's time. */
static size_t read_instances(struct redis_finder *f, const struct redisReply *reply,
			     struct redis_instance list[REDIS_INSTANCES_MAX])
{
	int64_t now = redis_reply_number(reply, 0);
	size_t n = 0;

	redis_clock_set(f->clock, now);
	for (size_t i = 1; i + 1 < reply->elements && n < REDIS_INSTANCES_MAX; i += 2) {
		const char *name = redis_reply_text(reply, i);
		int64_t until_ms = (int64_t)strtod(redis_reply_text(reply, i + 1), NULL);

		if (strlen(name) >= REDIS_INSTANCE_BYTES || until_ms < now)
			continue;
		list[n] = (struct redis_instance){.until_ms = until_ms};
		memcpy(list[n++].name, name, strlen(name));
	}
	return n;
}

/* Nobody for a whole lease is told once: a comet may start a moment before its logic, or be back at Redis a moment before it, and one that
 * looks elsewhere than they are finds nobody ever. By the clock, since looks come fast while a client waits. */
static void say_whether_there_is_one(struct redis_finder *f, size_t n)
{
	int64_t now = clock_now_ns();

	if (n > 0) {
		if (f->is_missed)
			LOG(LOG_INFO, log_what(EVENT_LOGIC_FOUND));
		f->is_missed = false;
		f->nobody_since_ns = 0;
	} else if (f->nobody_since_ns == 0) {
		f->nobody_since_ns = now;
	} else if (!f->is_missed && now - f->nobody_since_ns >= f->cfg->redis_lease * CLOCK_MS) {
		f->is_missed = true;
		LOG(LOG_ERROR, log_what(EVENT_LOGIC_MISSING), log_str("prefix", f->cfg->redis_prefix),
		    log_i64("db", f->cfg->redis_db));
	}
}

static void look(struct redis_finder *f)
{
	int64_t asked = clock_now_ns(), deadline = asked + f->cfg->redis_timeout * CLOCK_MS;
	struct redis_instance *list = calloc(REDIS_INSTANCES_MAX, sizeof(*list));
	struct redisReply *reply;
	size_t n;

	if (list != NULL && script_run(f->pipe, &script_instances, deadline, &reply, "") == 0) {
		redis_clock_compare(redis_reply_number(reply, 0), asked);
		n = read_instances(f, reply, list);
		freeReplyObject(reply);
		say_whether_there_is_one(f, n);
		lock_take(&f->lock);
		redis_instances_set(&f->instances, list, n);
		lock_drop(&f->lock);
	}
	free(list);
}

static void keep_looking(void *arg)
{
	const int64_t hurry_ns = 20 * CLOCK_MS; /* from one look to the next while somebody waits for an instance */
	struct redis_finder *f = arg;
	int64_t begun;

	OBJ_CHECK(f, REDIS_FINDER_MAGIC);
	do {
		begun = clock_now_ns();
		look(f);
		/* Also after a failure: a caller that still has no instance asks again. Under the lock, or a caller that is
		 * about to wait would miss it. */
		lock_take(&f->lock);
		(void)pthread_cond_broadcast(&f->looked);
		lock_drop(&f->lock);
	} while (worker_wait(&f->looker, begun + f->cfg->redis_lease * CLOCK_MS / 3) &&
		 worker_nap(&f->looker, begun + hurry_ns));
}

/* ---- start and stop ---- */

int redis_finder_start(const struct config *cfg, struct redis_pipe *pipe, struct redis_clock *clock,
		       struct redis_finder **out)
{
	struct redis_finder *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return -ENOMEM;
	f->magic = REDIS_FINDER_MAGIC;
	f->cfg = cfg;
	f->pipe = pipe;
	f->clock = clock;
	lock_init(&f->lock, LOCK_SERVICE);
	lock_cond_init(&f->looked);
	if ((rc = worker_start(&f->looker, "instances", keep_looking, f)) < 0) {
		redis_finder_free(&f);
		return rc;
	}
	*out = f;
	return 0;
}

void redis_finder_stop(struct redis_finder *f)
{
	OBJ_CHECK(f, REDIS_FINDER_MAGIC);
	lock_take(&f->lock);
	f->stop = true;
	lock_drop(&f->lock);
	(void)pthread_cond_broadcast(&f->looked);
	worker_stop(&f->looker);
}

void redis_finder_free(struct redis_finder **finder)
{
	struct redis_finder *f = *finder;

	OBJ_CHECK(f, REDIS_FINDER_MAGIC);
	(void)pthread_cond_destroy(&f->looked);
	lock_fini(&f->lock);
	f->magic = 0;
	free(f);
	*finder = NULL;
}
