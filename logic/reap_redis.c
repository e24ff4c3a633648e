/* reap_redis: see reap.h. A lease has no time to live in Redis: were Redis stopped for a while, all leases would lapse at
 * once when it goes on, and pushes would find nobody. A comet is dead when its lease has not changed while this thread
 * looked at it, and Redis answered, for redis.forget. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cluster/script.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/strmap.h"
#include "common/base/worker.h"
#include "common/config/event_kinds.h"
#include "common/redis/redis_reply.h"
#include "logic/reap.h"

/* Ends of sessions told by one script, in which Redis does nothing else, and scripts from one look at the comets to the next. */
#define TOLD_AT_ONCE 200
#define TOLD_ROUNDS  500

/* A lease as it is. */
struct lease {
	const char *server; /* the reply's */
	int64_t epoch, updated;
};

/* A lease as it was when it last changed. */
struct seen {
	int64_t epoch, updated;
	int64_t since_ns;
	unsigned round;
};

struct reap {
	unsigned magic;
#define REAP_MAGIC 0x4eab0000
	/* set once */
	const struct config *cfg;
	struct redis_pipe *pipe;
	struct cluster_figures *figures;
	char *events; /* as scripts take it; NULL: nobody wants events */
	bool tells_unacked;
	struct worker worker;
	/* the worker's */
	struct strmap seen; /* server -> struct seen */
	unsigned round;
	/* any thread */
	atomic_llong answered_ns; /* when Redis last answered */
};

/* Only if the lease is still as we saw it: the comet may have come back, or another logic was faster. */
static void bury(struct reap *r, const char *server, const struct seen *s)
{
	int64_t deadline = clock_now_ns() + r->cfg->redis_timeout * CLOCK_MS;
	struct redisReply *reply;

	if (script_run(r->pipe, &script_remove, deadline, &reply, "%s %lld %lld", server, (long long)s->epoch,
		       (long long)s->updated) < 0)
		return;
	if (reply->integer == 1) {
		count(COUNT_COMETS_FORGOTTEN);
		LOG(LOG_WARN, log_str("server", server), log_what(EVENT_COMET_REMOVED));
	}
	freeReplyObject(reply);
}

/* -ENOMEM: the next look begins anew with it. */
static int look_at(struct reap *r, const struct lease *lease)
{
	int64_t now = clock_now_ns();
	struct seen *s = strmap_get(&r->seen, lease->server);

	if (s == NULL) {
		if ((s = calloc(1, sizeof(*s))) == NULL)
			return -ENOMEM;
		if (strmap_put(&r->seen, lease->server, s, NULL) < 0) {
			free(s);
			return -ENOMEM;
		}
	}
	s->round = r->round;
	if (s->epoch != lease->epoch || s->updated != lease->updated) {
		s->epoch = lease->epoch;
		s->updated = lease->updated;
		s->since_ns = now;
		return 0;
	}
	if (now - s->since_ns >= r->cfg->redis_forget * CLOCK_MS) {
		bury(r, lease->server, s);
		(void)strmap_del(&r->seen, lease->server);
		free(s);
	}
	return 0;
}

/* Forget comets that the last look did not find. */
static void forget_gone(struct reap *r)
{
	struct strmap_cursor cursor = {0};
	const char *server;
	void *value;

	while (strmap_next(&r->seen, &cursor, &server, &value)) {
		struct seen *s = value;

		if (s->round == r->round)
			continue;
		(void)strmap_del_walked(&r->seen, server);
		free(s);
	}
	strmap_shrink(&r->seen);
}

static void look(struct reap *r)
{
	int64_t deadline = clock_now_ns() + r->cfg->redis_timeout * CLOCK_MS;
	struct redisReply *reply;

	if (script_run(r->pipe, &script_leases, deadline, &reply, "") < 0)
		return;
	/* While we could not look, comets could not renew either. */
	if (clock_now_ns() - atomic_load(&r->answered_ns) > r->cfg->redis_lease * CLOCK_MS)
		strmap_drop_all(&r->seen, free);
	atomic_store(&r->answered_ns, clock_now_ns());
	r->round++;
	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 2 < reply->elements; i += 3) {
		const struct lease lease = {
			.server = redis_reply_text(reply, i),
			.epoch = redis_reply_number(reply, i + 1),
			.updated = redis_reply_number(reply, i + 2),
		};

		if (look_at(r, &lease) < 0)
			LOG(LOG_WARN, log_what(EVENT_COMETS_WITHOUT_MEMORY));
	}
	forget_gone(r);
	freeReplyObject(reply);
}

/* One of the scripts that tell back ends of what nobody else tells them. False: none is left to tell, or Redis does not answer. */
static bool tell_some(struct reap *r, const struct redis_script *script, int64_t most)
{
	int64_t deadline = clock_now_ns() + r->cfg->redis_timeout * CLOCK_MS;
	struct redisReply *reply;
	bool more;

	if (script_run(r->pipe, script, deadline, &reply, "%s %lld %d", r->events, (long long)most, TOLD_AT_ONCE) < 0)
		return false;
	more = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
	freeReplyObject(reply);
	return more;
}

/* No more than so many times, so that the comets are looked at again. */
static void tell_all(struct reap *r, const struct redis_script *script, int64_t most)
{
	for (unsigned i = 0; i < TOLD_ROUNDS && tell_some(r, script, most); i++)
		;
}

/* The sessions of dead comets have ended; and pushes that nobody has confirmed in time. */
static void tell(struct reap *r)
{
	if (r->events != NULL)
		tell_all(r, &script_bury, r->cfg->events_bytes);
	if (r->tells_unacked)
		tell_all(r, &script_unacked, r->cfg->events_length);
}

/* Until the next look. */
static int64_t nap_ns(const struct reap *r)
{
	int64_t third_ns = r->cfg->redis_lease * CLOCK_MS / 3;

	return r->tells_unacked && third_ns > CLOCK_SEC ? CLOCK_SEC : third_ns;
}

static void run(void *arg)
{
	struct reap *r = arg;
	int64_t look_ns = 0, note_ns = INT64_MAX;

	OBJ_CHECK(r, REAP_MAGIC);
	do {
		if (clock_now_ns() >= look_ns) {
			look(r);
			tell(r);
			look_ns = clock_now_ns() + nap_ns(r);
		}
		if (r->figures != NULL)
			note_ns = cluster_figures_note(r->figures);
	} while (worker_nap(&r->worker, note_ns < look_ns ? note_ns : look_ns));
}

int reap_ready(struct reap *r, char *text, size_t text_bytes)
{
	OBJ_CHECK(r, REAP_MAGIC);
	if (clock_now_ns() - atomic_load(&r->answered_ns) < r->cfg->redis_lease * CLOCK_MS)
		return 0;
	redis_pipe_words(r->pipe, text, text_bytes);
	return -ENOTCONN;
}

int reap_start(const struct config *cfg, struct redis_pipe *pipe, struct cluster_figures *figures, struct reap **out)
{
	struct reap *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	r->magic = REAP_MAGIC;
	r->cfg = cfg;
	r->pipe = pipe;
	r->figures = figures;
	r->tells_unacked = event_kinds_name(cfg, "unacked");
	strmap_init(&r->seen);
	if ((rc = event_kinds_words(cfg, &r->events)) < 0 || (rc = worker_start(&r->worker, "reap", run, r)) < 0) {
		free(r->events);
		free(r);
		return rc;
	}
	*out = r;
	return 0;
}

void reap_stop(struct reap **reap)
{
	struct reap *r = *reap;

	OBJ_CHECK(r, REAP_MAGIC);
	worker_stop(&r->worker);
	strmap_drop_all(&r->seen, free);
	free(r->events);
	r->magic = 0;
	free(r);
	*reap = NULL;
}
