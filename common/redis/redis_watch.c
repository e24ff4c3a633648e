/* redis_watch: see redis_watch.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_watch.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/worker.h"
#include "common/redis/redis_master.h"
#include "common/redis/redis_sentinel.h"

struct redis_watch {
	unsigned magic;
#define REDIS_WATCH_MAGIC 0x5e47a7c0
	/* set once */
	const struct config *cfg;
	struct redis *mouth; /* asks */
	struct redis *ear;   /* hears one of them ... */
	bool is_deaf;        /* ... unless it may not */
	uint64_t silent;     /* those that did not answer last, by their places in redis.sentinels */
	struct worker worker;
};

static void switch_to(const char *place)
{
	LOG(LOG_WARN, log_str("redis", place), log_what(EVENT_REDIS_MASTER_SWITCHED));
	(void)redis_master_is(place);
}

/* Does it name the master? That one does not is said once: while another does, all goes on as if nothing were wrong. */
static bool ask(struct redis_watch *w, const char *sentinel, uint64_t bit, char *place, size_t bytes)
{
	int rc = redis_sentinel_ask(w->mouth, sentinel, place, bytes);

	if (rc < 0 && (w->silent & bit) == 0)
		redis_sentinel_say(w->mouth, rc);
	w->silent = rc < 0 ? w->silent | bit : w->silent & ~bit;
	return rc == 0;
}

/* Of Sentinels that disagree one that names a new master is right. One that names the master which we have left is behind, unless all
 * of them name it. */
static void look(struct redis_watch *w)
{
	const char *list = w->cfg->redis_sentinels;
	char sentinel[REDIS_MASTER_BYTES], place[REDIS_MASTER_BYTES], left[REDIS_MASTER_BYTES] = "";
	bool is_named = false;
	uint64_t bit = 1;

	for (; !worker_is_stopping(&w->worker) && config_list_next(&list, sentinel, sizeof(sentinel)); bit <<= 1) {
		if (!ask(w, sentinel, bit, place, sizeof(place)))
			continue;
		if (redis_master_is_known(place)) {
			is_named = true;
		} else if (redis_master_was_left(place)) {
			memcpy(left, place, sizeof(left));
		} else {
			switch_to(place);
			return;
		}
	}
	if (!is_named && left[0] != '\0')
		switch_to(left);
}

/* "<name> <old host> <old port> <new host> <new port>", perhaps of another master that this Sentinel watches. */
static void take(struct redis_watch *w, const struct redisReply *message)
{
	char name[REDIS_MASTER_BYTES], host[REDIS_MASTER_BYTES], port[16], place[REDIS_MASTER_BYTES];

	if (!redis_reply_says(message, "message") ||
	    sscanf(redis_reply_text(message, 2), "%319s %*s %*s %255s %15s", name, host, port) != 3 ||
	    strcmp(name, w->cfg->redis_master) != 0)
		return;
	redis_sentinel_place(host, port, place, sizeof(place));
	if (!redis_master_is_known(place))
		switch_to(place);
}

/* To the first that lets us; without one, asking has to do. */
static void open_ear(struct redis_watch *w)
{
	const char *list = w->cfg->redis_sentinels;
	char sentinel[REDIS_MASTER_BYTES];

	int64_t deadline;
	int rc;

	while (!w->is_deaf && !redis_is_connected(w->ear) && !worker_is_stopping(&w->worker) &&
	       config_list_next(&list, sentinel, sizeof(sentinel))) {
		deadline = clock_now_ns() + w->cfg->redis_timeout * CLOCK_MS;
		if ((rc = redis_sentinel_open(w->ear, sentinel)) == 0)
			rc = redis_command(w->ear, deadline, NULL, "SUBSCRIBE +switch-master");
		w->is_deaf = rc == -EPERM;
		if (rc < 0)
			redis_hang_up(w->ear);
	}
}

/* Until then, or a message. */
static void hear(struct redis_watch *w, int64_t until_ns)
{
	struct redisReply *message;

	while (redis_is_connected(w->ear) && redis_read(w->ear, until_ns, &message) == 0) {
		take(w, message);
		freeReplyObject(message);
	}
	(void)worker_nap(&w->worker, until_ns);
}

static void run(void *arg)
{
	struct redis_watch *w = arg;

	OBJ_CHECK(w, REDIS_WATCH_MAGIC);
	while (!worker_is_stopping(&w->worker)) {
		open_ear(w);
		look(w);
		hear(w, clock_now_ns() + w->cfg->redis_lease * CLOCK_MS / 3);
	}
}

int redis_watch_start(const struct config *cfg, struct redis_watch **out)
{
	struct redis_options opt = redis_options_of(cfg, "sentinels");
	struct redis_watch *w;
	int rc;

	opt.sentinels = ""; /* it connects to them, and not by them */
	*out = NULL;
	if (cfg->redis_sentinels[0] == '\0')
		return 0;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return -ENOMEM;
	w->magic = REDIS_WATCH_MAGIC;
	w->cfg = cfg;
	if ((rc = redis_new(&opt, &w->mouth)) == 0 && (rc = redis_new(&opt, &w->ear)) == 0)
		rc = worker_start(&w->worker, "sentinels", run, w);
	if (rc < 0)
		redis_watch_stop(&w);
	else
		*out = w;
	return rc;
}

void redis_watch_stop(struct redis_watch **watch)
{
	struct redis_watch *w = *watch;

	if (w == NULL)
		return;
	OBJ_CHECK(w, REDIS_WATCH_MAGIC);
	worker_ask_to_stop(&w->worker);
	if (w->mouth != NULL)
		redis_stop(w->mouth);
	if (w->ear != NULL)
		redis_stop(w->ear);
	worker_stop(&w->worker);
	if (w->mouth != NULL)
		redis_free(&w->mouth);
	if (w->ear != NULL)
		redis_free(&w->ear);
	w->magic = 0;
	free(w);
	*watch = NULL;
}
