/* people_redis: see people.h. A question goes to each comet over its channel, the answers come back over one of this logic's, on which
 * a thread listens. A comet that nobody listens for is known at once, one that says nothing at the deadline.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/park.h"
#include "common/base/thread.h"
#include "common/config/config.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_listen.h"
#include "common/redis/redis_name.h"
#include "common/redis/redis_pipe.h"
#include "logic/people.h"

/* A question that waits for answers, on its caller's stack. */
struct asking {
	/* the caller's */
	char id[24];
	const char *const *servers;
	size_t n;
	/* under lock */
	struct who_answer *answers; /* of servers[i], if it is not silent: all of it is the caller's then */
	bool *silent;               /* it has not answered yet */
	size_t waits_for;
	pthread_cond_t wake;
};

struct people_redis {
	unsigned magic;
#define PEOPLE_REDIS_MAGIC 0x9e091e00
	/* set once */
	const struct config *cfg;
	struct redis_pipe *pipe;
	struct redis_clock *clock;
	struct redis_name channel; /* of answers */
	struct redis *redis;       /* the listener's */
	struct thread *listener;
	/* under lock */
	struct lock lock;
	bool stop;
	struct asking *asking[PEOPLE_AT_ONCE]; /* NULL: a free place */
	uint64_t last_id;
};

static struct people_redis *people_of(void *self)
{
	struct people_redis *p = self;

	OBJ_CHECK(p, PEOPLE_REDIS_MAGIC);
	return p;
}

/* ---- answers ---- */

static struct asking *find_locked(struct people_redis *p, const char *id) NEEDS(p->lock)
{
	for (size_t i = 0; i < PEOPLE_AT_ONCE; i++)
		if (p->asking[i] != NULL && strcmp(p->asking[i]->id, id) == 0)
			return p->asking[i];
	return NULL;
}

/* Hand it over to who waits for it, if anybody does; it is empty then. */
static void take_answer(struct people_redis *p, struct who_answer *answer)
{
	struct asking *a;
	size_t i = 0;

	lock_take(&p->lock);
	a = find_locked(p, answer->id);
	while (a != NULL && i < a->n && (!a->silent[i] || strcmp(a->servers[i], answer->server) != 0))
		i++;
	if (a != NULL && i < a->n) {
		a->answers[i] = *answer;
		*answer = (struct who_answer){0};
		a->silent[i] = false;
		if (--a->waits_for == 0)
			(void)pthread_cond_signal(&a->wake);
	}
	lock_drop(&p->lock);
}

static void take_text(struct people_redis *p, const char *text, size_t bytes)
{
	static struct log_limit limit = LOG_LIMIT(1);
	struct who_answer answer;
	int rc = who_answer_decode(text, bytes, &answer);

	if (rc == 0) {
		take_answer(p, &answer);
	} else {
		count(COUNT_LOGIC_BAD_MESSAGES);
		LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_QUESTION_UNREADABLE), log_i64("bytes", (int64_t)bytes),
			    log_str("error", err_text(rc)));
	}
	who_answer_fini(&answer);
}

static void take_message(void *self, struct redisReply *m)
{
	struct people_redis *p = self;
	const struct redisReply *text = redis_listen_text(m);

	if (text != NULL)
		take_text(p, text->str, (size_t)text->len);
	freeReplyObject(m);
}

static void *listen_for_answers(void *arg)
{
	struct people_redis *p = people_of(arg);

	redis_listen(p->redis, &(struct redis_listener){.channel = p->channel.text, .take = take_message, .self = p});
	return NULL;
}

/* ---- questions ---- */

/* Into a free place. 0, -EBUSY. */
static int begin(struct people_redis *p, struct asking *a)
{
	int rc = -EBUSY;

	lock_cond_init(&a->wake);
	lock_take(&p->lock);
	(void)snprintf(a->id, sizeof(a->id), "%llu", (unsigned long long)++p->last_id);
	for (size_t i = 0; i < PEOPLE_AT_ONCE && rc < 0; i++)
		if (p->asking[i] == NULL) {
			p->asking[i] = a;
			rc = 0;
		}
	lock_drop(&p->lock);
	return rc;
}

static void end(struct people_redis *p, struct asking *a)
{
	lock_take(&p->lock);
	for (size_t i = 0; i < PEOPLE_AT_ONCE; i++)
		if (p->asking[i] == a)
			p->asking[i] = NULL;
	lock_drop(&p->lock);
	(void)pthread_cond_destroy(&a->wake);
}

/* To all of them in one write. One that nobody hears is not waited for, and stays silent. */
static int publish(struct people_redis *p, struct asking *a, const char *text, size_t bytes, int64_t deadline_ns)
{
	struct redis_call **calls = calloc(a->n + 1, sizeof(struct redis_call *));
	size_t n = 0;
	int rc = calls != NULL ? 0 : -ENOMEM;

	for (; rc == 0 && n < a->n; n += rc == 0)
		rc = redis_pipe_begin(p->pipe, REDIS_ONCE, deadline_ns, &calls[n], "PUBLISH %s %b",
				      redis_name_channel(p->cfg, "who", a->servers[n]).text, text, bytes);
	for (size_t i = 0; i < n; i++) {
		struct redisReply *reply = NULL;
		int sent = redis_pipe_end(p->pipe, calls[i], &reply);

		if (rc == 0)
			rc = sent;
		if (sent == 0 && reply->integer == 0) {
			lock_take(&p->lock);
			a->waits_for--;
			lock_drop(&p->lock);
		}
		if (sent == 0)
			freeReplyObject(reply);
	}
	free(calls);
	return rc == 0 || rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
}

static void wait_for_all(struct people_redis *p, struct asking *a, int64_t deadline_ns)
{
	park_wait_begin();
	lock_take(&p->lock);
	while (a->waits_for > 0 && !p->stop && lock_wait_until(&a->wake, &p->lock, deadline_ns))
		;
	lock_drop(&p->lock);
	park_wait_end();
}

/* Ask, and wait for the answers. */
static int ask(struct people_redis *p, struct asking *a, const struct who_query *query)
{
	const int64_t now_ms = redis_clock_ms(p->clock);
	const int64_t deadline_ns = clock_now_ns() + p->cfg->logic_timeout * CLOCK_MS;
	const struct who_question question = {
		.id = a->id, .reply = p->channel.text, .expires_ms = now_ms + p->cfg->logic_timeout, .query = *query};
	size_t bytes;
	char *text;
	int rc;

	if (now_ms == 0)
		return -ERR_NO_LOGIC;
	if ((rc = who_question_encode(&question, &text, &bytes)) < 0)
		return rc;
	rc = publish(p, a, text, bytes, deadline_ns);
	free(text);
	if (rc == 0)
		wait_for_all(p, a, deadline_ns);
	return rc;
}

/* One page of all answers, which go, where rc is 0: the caller's so far. */
static int put_together(const struct asking *a, int rc, const struct who_query *query, struct who_page *page)
{
	for (size_t i = 0; i < a->n; i++) {
		if (rc == 0 && !a->silent[i])
			rc = a->answers[i].failed ? -ENOMEM : who_page_add(page, &a->answers[i].page);
		who_answer_fini(&a->answers[i]);
	}
	if (rc == 0)
		rc = who_page_sort(page, query->limit);
	if (rc < 0) {
		json_decref(page->connections);
		*page = (struct who_page){0};
	}
	return rc;
}

static int list(void *self, const char *const *servers, size_t n, const struct who_query *query, struct who_page *page,
		bool *silent)
{
	struct people_redis *p = people_of(self);
	struct asking a = {.servers = servers, .n = n, .silent = silent, .waits_for = n};
	int rc;

	*page = (struct who_page){0};
	if ((a.answers = calloc(n + 1, sizeof(*a.answers))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		silent[i] = true;
	if ((rc = begin(p, &a)) == 0)
		rc = ask(p, &a, query);
	end(p, &a);
	rc = put_together(&a, rc, query, page);
	free(a.answers);
	return rc;
}

/* ---- start and end ---- */

static void stop(void *self)
{
	struct people_redis *p = people_of(self);

	lock_take(&p->lock);
	p->stop = true;
	for (size_t i = 0; i < PEOPLE_AT_ONCE; i++)
		if (p->asking[i] != NULL)
			(void)pthread_cond_signal(&p->asking[i]->wake);
	lock_drop(&p->lock);
}

int people_redis_new(const struct config *cfg, struct redis_pipe *pipe, struct redis_clock *clock, const char *instance,
		     struct people *out)
{
	const struct redis_options redis = redis_options_of(cfg, "who");
	struct people_redis *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return -ENOMEM;
	p->magic = PEOPLE_REDIS_MAGIC;
	p->cfg = cfg;
	p->pipe = pipe;
	p->clock = clock;
	p->channel = redis_name_channel(cfg, "page", instance);
	lock_init(&p->lock, LOCK_SERVICE);
	*out = (struct people){.list = list, .stop = stop, .self = p};
	if ((rc = redis_new(&redis, &p->redis)) == 0)
		rc = thread_spawn(THREAD_SERVICE, "who", listen_for_answers, p, &p->listener);
	if (rc < 0)
		people_redis_free(out);
	return rc;
}

void people_redis_free(struct people *people)
{
	struct people_redis *p = people_of(people->self);

	if (p->redis != NULL)
		redis_stop(p->redis);
	if (p->listener != NULL)
		thread_join(&p->listener);
	if (p->redis != NULL)
		redis_free(&p->redis);
	lock_fini(&p->lock);
	p->magic = 0;
	free(p);
	*people = (struct people){0};
}
