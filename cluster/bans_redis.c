/* bans_redis: see bans_redis.h. SPDX-License-Identifier: MIT */
#include "cluster/bans_redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/script.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/worker.h"
#include "common/redis/redis_reply.h"

/* A ban is to be known within a second. */
#define ASK_NS (500 * CLOCK_MS)
/* So many in one answer. */
#define PAGE 500
/* So many are written again in one step, in which Redis does nothing else. */
#define CHUNK 100
/* Where ours and Redis's differ in number without a known loss, they are compared so often: clocks differ, and ends come meanwhile. */
#define COMPARE_NS (10 * CLOCK_SEC)

struct bans_redis {
	unsigned magic;
#define BANS_REDIS_MAGIC 0xba45004e
	/* set once */
	const struct config *cfg;
	struct redis_pipe *pipe;
	struct bans *bans;
	struct worker worker;
	/* the worker's */
	char generation[32]; /* of the data that were read last */
	char since[32];      /* the number of the last ban that was read */
	int64_t compared_ns;
	bool older; /* Redis has one that is older than ours */
};

static int64_t deadline_of(const struct bans_redis *r)
{
	return clock_now_ns() + r->cfg->redis_timeout * CLOCK_MS;
}

/* ---- writing ---- */

#define WORDS 6 /* of one ban in the arguments of ban.lua */

struct words {
	char field[BAN_FIELD_BYTES];
	char stamp[24], until[24], keep[24], before[24];
};

static void write_words(const struct ban *ban, struct words *w, const char *argv[WORDS])
{
	int64_t keep_ms = ban->keep_ms > ban->until_ms ? ban->keep_ms : ban->until_ms;

	ban_field(ban, w->field);
	(void)snprintf(w->stamp, sizeof(w->stamp), "%" PRIu64, ban->stamp);
	(void)snprintf(w->until, sizeof(w->until), "%" PRId64, ban->until_ms);
	(void)snprintf(w->keep, sizeof(w->keep), "%" PRId64, keep_ms);
	(void)snprintf(w->before, sizeof(w->before), "%" PRId64, ban->before_s);
	argv[0] = w->field;
	argv[1] = w->stamp;
	argv[2] = w->until;
	argv[3] = w->keep;
	argv[4] = ban->lifted ? "1" : "0";
	argv[5] = w->before;
}

/* 0 and the reply of ban.lua; or as redis_pipe_call. */
static int write_bans(struct bans_redis *r, int64_t max, const struct ban *list, size_t n, struct redisReply **reply)
{
	struct words *words = calloc(n, sizeof(*words));
	const char **argv = calloc(1 + n * WORDS, sizeof(*argv));
	char most[24];
	int rc = -ENOMEM;

	(void)snprintf(most, sizeof(most), "%" PRId64, max);
	if (words != NULL && argv != NULL) {
		argv[0] = most;
		for (size_t i = 0; i < n; i++)
			write_words(&list[i], &words[i], argv + 1 + i * WORDS);
		rc = script_runv(r->pipe, &script_ban, deadline_of(r), reply, (int)(1 + n * WORDS), argv);
	}
	free(argv);
	free(words);
	return rc;
}

/* What Redis made of it: their stamps. */
static int take_written(struct bans_redis *r, const struct redisReply *reply, struct ban *list, size_t n)
{
	char field[BAN_FIELD_BYTES];
	struct ban written;

	for (size_t i = 0; i < n; i++) {
		ban_field(&list[i], field);
		if (ban_read(field, redis_reply_text(reply, i + 1), &written) < 0)
			return -ERR_NO_LOGIC;
		written.name = list[i].name;
		list[i] = written;
	}
	return bans_take(r->bans, list, n, 0, NULL);
}

int bans_redis_put(void *self, struct ban *list, size_t n)
{
	struct bans_redis *r = self;
	struct redisReply *reply;
	int rc;

	OBJ_CHECK(r, BANS_REDIS_MAGIC);
	if (n > (size_t)r->cfg->limits_bans)
		return -ENOSPC;
	for (size_t i = 0; i < n; i++)
		list[i].stamp = 0; /* Redis gives it */
	if ((rc = write_bans(r, r->cfg->limits_bans, list, n, &reply)) < 0)
		return rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
	rc = redis_reply_says(reply, "full") ? -ENOSPC : take_written(r, reply, list, n);
	freeReplyObject(reply);
	return rc;
}

/* Redis has lost some, or lies behind. Those that are there as new as ours stay. */
static int write_again(struct bans_redis *r)
{
	struct redisReply *reply;
	struct ban *list;
	size_t n;
	int rc = bans_copy(r->bans, &list, &n);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < n; i += CHUNK) {
		rc = write_bans(r, 0, list + i, n - i < CHUNK ? n - i : CHUNK, &reply);
		if (rc == 0)
			freeReplyObject(reply);
	}
	free(list);
	if (rc == 0 && n > 0)
		LOG(LOG_INFO, log_what(EVENT_BANS_WRITTEN_AGAIN), log_i64("bans", (int64_t)n));
	return rc;
}

/* ---- reading ---- */

static void say_unreadable(const char *field)
{
	static struct log_limit limit = LOG_LIMIT(1);

	LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_BAN_UNREADABLE), log_str("field", field));
}

/* *n: how many there were. */
static int take_page(struct bans_redis *r, const struct redisReply *reply, size_t *n)
{
	struct ban list[PAGE];
	size_t good = 0;
	bool older = false;
	int rc;

	*n = 0;
	for (size_t i = 3; i + 2 < reply->elements && *n < PAGE; i += 3, ++*n) {
		(void)snprintf(r->since, sizeof(r->since), "%s", redis_reply_text(reply, i));
		if (ban_read(redis_reply_text(reply, i + 1), redis_reply_text(reply, i + 2), &list[good]) == 0)
			good++;
		else
			say_unreadable(redis_reply_text(reply, i + 1));
	}
	rc = bans_take(r->bans, list, good, 0, &older);
	r->older = r->older || older;
	return rc;
}

struct state {
	bool is_other;  /* another generation than before: something may have been lost */
	int64_t now_ms; /* Redis's time */
	size_t there;   /* how many it has */
};

/* All that is new, page after page. */
static int read_news(struct bans_redis *r, struct state *state)
{
	struct redisReply *reply;
	size_t n;
	int rc;

	*state = (struct state){0};
	do {
		if ((rc = script_run(r->pipe, &script_bans, deadline_of(r), &reply, "%s %s %d", r->generation, r->since,
				     PAGE)) < 0)
			return rc;
		state->is_other = state->is_other || strcmp(r->generation, redis_reply_text(reply, 0)) != 0;
		(void)snprintf(r->generation, sizeof(r->generation), "%s", redis_reply_text(reply, 0));
		state->now_ms = redis_reply_number(reply, 1);
		state->there = (size_t)redis_reply_number(reply, 2);
		rc = take_page(r, reply, &n);
		freeReplyObject(reply);
	} while (rc == 0 && n == PAGE && !worker_is_stopping(&r->worker));
	return rc;
}

static void begin_anew(struct bans_redis *r)
{
	(void)snprintf(r->generation, sizeof(r->generation), "0");
	(void)snprintf(r->since, sizeof(r->since), "0");
}

/* After all was read: has Redis what we have? */
static int compare(struct bans_redis *r, const struct state *state)
{
	size_t ours = bans_count(r->bans, state->now_ms);

	if (!state->is_other && clock_now_ns() - r->compared_ns < COMPARE_NS)
		return 0;
	r->compared_ns = clock_now_ns();
	if (r->older || state->there < ours) {
		r->older = false;
		return write_again(r);
	}
	if (state->there > ours)
		begin_anew(r);
	return 0;
}

static void work(void *arg)
{
	struct bans_redis *r = arg;
	struct state state;

	OBJ_CHECK(r, BANS_REDIS_MAGIC);
	do {
		int rc = read_news(r, &state);

		if (rc == 0) {
			bans_set_known(r->bans, true);
			rc = compare(r, &state);
		}
		if (rc < 0) /* the pipe has logged why; or there was no memory, and some were left out */
			begin_anew(r);
	} while (worker_nap(&r->worker, clock_now_ns() + ASK_NS));
}

/* ---- start and stop ---- */

int bans_redis_start(const struct config *cfg, struct redis_pipe *pipe, struct bans *bans, struct bans_redis **out)
{
	struct bans_redis *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	*r = (struct bans_redis){.magic = BANS_REDIS_MAGIC, .cfg = cfg, .pipe = pipe, .bans = bans};
	begin_anew(r);
	bans_set_known(bans, false);
	if ((rc = worker_start(&r->worker, "bans", work, r)) < 0) {
		free(r);
		return rc;
	}
	*out = r;
	return 0;
}

void bans_redis_stop(struct bans_redis **redis)
{
	struct bans_redis *r = *redis;

	OBJ_CHECK(r, BANS_REDIS_MAGIC);
	worker_stop(&r->worker);
	r->magic = 0;
	free(r);
	*redis = NULL;
}
