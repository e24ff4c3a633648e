/* waits_redis: see waits_redis.h. SPDX-License-Identifier: MIT */
#include "logic/waits_redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/park.h"
#include "common/http/http_request.h"
#include "common/redis/redis_name.h"
#include "common/redis/redis_ready.h"

static long long look_ms(int64_t left_ns)
{
	if (left_ns > UPSTREAM_LOOK_NS)
		left_ns = UPSTREAM_LOOK_NS;
	return left_ns >= CLOCK_MS ? (long long)(left_ns / CLOCK_MS) : 1;
}

/* [[key, [entry, ...]]], or nil where nothing came. */
static const struct redisReply *entries_of(const struct redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 || reply->element[0]->elements != 2)
		return NULL;
	return reply->element[0]->element[1];
}

static int read_blocking(struct waits_redis *w, struct redis *r, const struct upstream_query *query,
			 int (*begin)(void *arg, struct redis *r, const char **after),
			 int (*take)(void *arg, struct redis *r, const struct redisReply *entries), void *arg,
			 const size_t *n)
{
	const int64_t patience = w->cfg->redis_timeout * CLOCK_MS;
	int64_t now = clock_now_ns(), deadline = now + query->wait_ms * CLOCK_MS;
	const struct redisReply *entries;
	const char *after = query->after;
	struct redisReply *reply;
	int rc;

	if ((rc = redis_ready(r, now + patience, NULL)) < 0 || (begin != NULL && (rc = begin(arg, r, &after)) < 0))
		return rc;
	do {
		now = clock_now_ns();
		/* To Redis, BLOCK 0 is for ever. */
		rc = redis_command(r, now + UPSTREAM_LOOK_NS + patience, &reply,
				   "XREAD COUNT %lld BLOCK %lld STREAMS %s %s", (long long)query->max,
				   look_ms(deadline - now), redis_name_key(w->cfg, w->stream, "").text, after);
		if (rc < 0)
			return rc;
		if ((entries = entries_of(reply)) != NULL)
			rc = take(arg, r, entries);
		freeReplyObject(reply);
	} while (rc == 0 && *n == 0 && clock_now_ns() < deadline &&
		 (query->caller == NULL || !http_is_abandoned(query->caller)));
	return rc;
}

/* Its connection can be stopped from now on. -EBUSY, -ESHUTDOWN. */
static int enter(struct waits_redis *w, struct redis *r, unsigned *place)
{
	int rc = -EBUSY;

	lock_take(&w->lock);
	if (w->stopped)
		rc = -ESHUTDOWN;
	for (unsigned i = 0; rc == -EBUSY && i < WAITS_REDIS_MAX; i++)
		if (w->readers[i] == NULL) {
			w->readers[i] = r;
			*place = i;
			rc = 0;
		}
	lock_drop(&w->lock);
	return rc;
}

static void leave(struct waits_redis *w, unsigned place)
{
	lock_take(&w->lock);
	w->readers[place] = NULL;
	lock_drop(&w->lock);
}

int waits_redis_read(struct waits_redis *w, const struct upstream_query *query,
		     int (*begin)(void *arg, struct redis *r, const char **after),
		     int (*take)(void *arg, struct redis *r, const struct redisReply *entries), void *arg, size_t *n)
{
	const struct redis_options options = redis_options_of(w->cfg, w->name);
	struct redis *r;
	unsigned place;
	int rc;

	park_wait_begin();
	if ((rc = redis_new(&options, &r)) == 0) {
		if ((rc = enter(w, r, &place)) == 0) {
			rc = read_blocking(w, r, query, begin, take, arg, n);
			leave(w, place);
		}
		redis_free(&r);
	}
	park_wait_end();
	if (rc == -ESHUTDOWN)
		return 0; /* nothing came while we waited */
	return rc == 0 || rc == -EBUSY || rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
}

void waits_redis_stop(struct waits_redis *w)
{
	lock_take(&w->lock);
	w->stopped = true;
	/* It only makes a descriptor readable. */
	for (unsigned i = 0; i < WAITS_REDIS_MAX; i++)
		if (w->readers[i] != NULL)
			redis_stop(w->readers[i]);
	lock_drop(&w->lock);
}

void waits_redis_init(struct waits_redis *w, const struct config *cfg, const char *name, const char *stream)
{
	*w = (struct waits_redis){.cfg = cfg, .name = name, .stream = stream};
	lock_init(&w->lock, LOCK_REGISTRY);
}

void waits_redis_fini(struct waits_redis *w)
{
	lock_fini(&w->lock);
}
