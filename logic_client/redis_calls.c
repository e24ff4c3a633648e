/* redis_calls: see redis_calls.h. A thread listens for replies; redis_finder says whom to ask.
 *
 * A request has a time, on Redis's clock, until which its comet waits for the reply, and a logic checks it in one step with the
 * registration of the connection. So when a request is tried on another instance, the first try can no longer take effect, and
 * two instances never register one connection twice. SPDX-License-Identifier: MIT */
#include "logic_client/redis_calls.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/strmap.h"
#include "common/base/thread.h"
#include "common/redis/redis_listen.h"
#include "common/redis/redis_name.h"
#include "logic_client/redis_finder.h"

/* Requests given up that are remembered, should their reply come after all. */
#define GIVEN_UP 1024

struct redis_calls {
	unsigned magic;
#define REDIS_CALLS_MAGIC 0xca115000
	/* set once */
	const struct config *cfg;
	const char *server_id;
	struct redis_pipe *pipe;
	struct redis_clock *clock;
	struct redis_name channel; /* of our replies */
	uint64_t nonce;            /* tells our ids from those of an earlier process of this name */
	struct redis_calls_owner owner;
	struct redis *redis; /* the listener's */
	struct redis_finder *finder;
	struct thread *listener;
	/* any thread */
	atomic_ullong ids;
	/* under lock */
	struct lock lock;
	bool stop;
	struct strmap waiters;
	char given_up[GIVEN_UP][REDIS_ASKING_ID_BYTES];
	unsigned next_given_up;
};

bool redis_calls_has_logic(struct redis_calls *c)
{
	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	return redis_finder_has(c->finder);
}

bool redis_calls_is_deaf(struct redis_calls *c, int64_t for_ns, char *words, size_t bytes)
{
	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	return redis_is_down(c->redis, for_ns, words, bytes);
}

/* ---- requests under way ---- */

static int waiter_add(struct redis_calls *c, struct redis_asking *w)
{
	int rc;

	*w = (struct redis_asking){0};
	lock_cond_init(&w->wake);
	(void)snprintf(w->id, sizeof(w->id), "%" PRIx64 "-%llu", c->nonce,
		       (unsigned long long)atomic_fetch_add(&c->ids, 1));
	lock_take(&c->lock);
	rc = strmap_put(&c->waiters, w->id, w, NULL);
	lock_drop(&c->lock);
	return rc;
}

/* From now on a reply to it is a late one. */
static void waiter_del(struct redis_calls *c, struct redis_asking *w)
{
	lock_take(&c->lock);
	(void)strmap_del(&c->waiters, w->id);
	if (!w->done) {
		memcpy(c->given_up[c->next_given_up], w->id, REDIS_ASKING_ID_BYTES);
		c->next_given_up = (c->next_given_up + 1) % GIVEN_UP;
	}
	lock_drop(&c->lock);
	(void)pthread_cond_destroy(&w->wake);
}

static bool waiter_wait(struct redis_calls *c, struct redis_asking *w, int64_t deadline_ns)
{
	bool done;

	lock_take(&c->lock);
	while (!w->done && !c->stop && lock_wait_until(&w->wake, &c->lock, deadline_ns))
		;
	done = w->done;
	lock_drop(&c->lock);
	return done;
}

/* The request as a text, good for `timeout_ms` from now. */
static int encode(struct redis_calls *c, struct wire_request *request, const char *id, char **text, size_t *bytes)
{
	int64_t now = redis_clock_ms(c->clock);

	if (now == 0)
		return -ERR_NO_LOGIC;
	request->id = id;
	request->server = c->server_id;
	request->reply = c->channel.text;
	/* Two milliseconds for the rounding of the two clocks. */
	request->connect.expires_ms = now + c->cfg->logic_timeout - 2;
	return wire_request_encode(request, text, bytes);
}

/* Each of them registers the connection anew: the registry then has a session that this comet never heard of, and at its next
 * renewal the client is closed as replaced. */
static void say_two_have(const char *name, int64_t receivers)
{
	static struct log_limit limit = LOG_LIMIT(1);

	LOG_LIMITED(LOG_ERROR, &limit, log_str("logic", name), log_i64("listeners", receivers),
		    log_what(EVENT_LOGIC_ID_TAKEN));
}

/* Bring the text to one instance. 0: an instance got it, or perhaps; -ERR_NO_LOGIC: certainly none did. */
static int publish(struct redis_calls *c, const char *text, size_t bytes, const char *but, int64_t deadline_ns,
		   char name[REDIS_INSTANCE_BYTES])
{
	while (redis_finder_pick(c->finder, but, deadline_ns, name)) {
		struct redisReply *reply;
		int64_t receivers;
		int rc = redis_pipe_call(c->pipe, REDIS_ONCE, deadline_ns, &reply, "PUBLISH %s %b",
					 redis_name_channel(c->cfg, "logic", name).text, text, bytes);

		if (rc == -EAGAIN || rc == -ENOMEM || rc == -ESHUTDOWN)
			return rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
		if (rc < 0)
			return 0;
		receivers = reply->integer;
		freeReplyObject(reply);
		if (receivers > 1)
			say_two_have(name, receivers);
		if (receivers > 0)
			return 0;
		redis_finder_gone(c->finder, name);
	}
	return -ERR_NO_LOGIC;
}

static int ask_once(struct redis_calls *c, struct wire_request *request, struct wire_reply *reply,
		    char tried[REDIS_INSTANCE_BYTES])
{
	int64_t deadline = clock_now_ns() + c->cfg->logic_timeout * CLOCK_MS;
	char but[REDIS_INSTANCE_BYTES];
	struct redis_asking w;
	size_t bytes;
	char *text;
	int rc;

	memcpy(but, tried, sizeof(but));
	if ((rc = waiter_add(c, &w)) < 0 || (rc = encode(c, request, w.id, &text, &bytes)) < 0)
		goto out;
	rc = publish(c, text, bytes, but[0] != '\0' ? but : NULL, deadline, tried);
	free(text);
	if (rc < 0)
		goto out;
	if (waiter_wait(c, &w, deadline)) {
		*reply = w.reply;
	} else {
		redis_finder_silent(c->finder, tried);
		rc = -ETIMEDOUT;
	}
out:
	waiter_del(c, &w);
	/* It may have come between the last look and the removal. */
	if (w.done && rc == -ETIMEDOUT) {
		*reply = w.reply;
		rc = 0;
	}
	return rc;
}

int redis_calls_try(struct redis_calls *c, struct wire_request *request, struct wire_reply *reply, bool *unheard)
{
	char tried[REDIS_INSTANCE_BYTES] = "";
	int rc;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	rc = ask_once(c, request, reply, tried);
	*unheard = rc == -ETIMEDOUT;
	if (rc == -ETIMEDOUT) {
		count(COUNT_LOGIC_RETRIED);
		rc = ask_once(c, request, reply, tried);
	}
	return rc == -ETIMEDOUT ? -ERR_NO_LOGIC : rc;
}

int redis_calls_ask(struct redis_calls *c, struct wire_request *request, struct wire_reply *reply)
{
	bool unheard;

	return redis_calls_try(c, request, reply, &unheard);
}

int redis_calls_begin(struct redis_calls *c, struct wire_request *request, int64_t deadline_ns, struct redis_asking *a)
{
	char name[REDIS_INSTANCE_BYTES];
	size_t bytes;
	char *text;
	int rc;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	if (!redis_finder_pick(c->finder, NULL, deadline_ns, name))
		return -ERR_NO_LOGIC;
	if ((rc = waiter_add(c, a)) == 0 && (rc = encode(c, request, a->id, &text, &bytes)) == 0) {
		memcpy(a->name, name, sizeof(a->name));
		rc = redis_pipe_begin(c->pipe, REDIS_ONCE, deadline_ns, &a->call, "PUBLISH %s %b",
				      redis_name_channel(c->cfg, "logic", a->name).text, text, bytes);
		free(text);
	}
	if (rc < 0)
		waiter_del(c, a);
	return rc;
}

int redis_calls_end(struct redis_calls *c, struct redis_asking *a, int64_t deadline_ns, struct wire_reply *reply)
{
	struct redisReply *published;
	int rc = redis_pipe_end(c->pipe, a->call, &published);

	if (rc == 0) {
		if (published->integer == 0)
			redis_finder_gone(c->finder, a->name);
		else if (!waiter_wait(c, a, deadline_ns))
			redis_finder_silent(c->finder, a->name);
		freeReplyObject(published);
	}
	waiter_del(c, a);
	if (!a->done)
		return -ERR_NO_LOGIC;
	*reply = a->reply;
	return 0;
}

/* ---- replies ---- */

/* Was this request given up? True once for each request, so that a reply that comes twice does no harm. */
static bool was_given_up(struct redis_calls *c, const char *id)
{
	bool was = false;

	lock_take(&c->lock);
	for (unsigned i = 0; i < GIVEN_UP && !was; i++)
		if (strcmp(c->given_up[i], id) == 0) {
			c->given_up[i][0] = '\0';
			was = true;
		}
	lock_drop(&c->lock);
	return was;
}

static void take_late(struct redis_calls *c, const struct wire_reply *reply)
{
	count(COUNT_LOGIC_LATE);
	if (was_given_up(c, reply->id) && reply->rc == 0 && reply->session.key[0] != '\0')
		c->owner.late(c->owner.self, &reply->session);
}

/* Takes the reply over if somebody waits for it. */
static bool hand_over(struct redis_calls *c, struct wire_reply *reply)
{
	struct redis_asking *w;
	bool wanted;

	lock_take(&c->lock);
	w = strmap_get(&c->waiters, reply->id);
	wanted = w != NULL && !w->done;
	if (wanted) {
		w->reply = *reply;
		w->done = true;
		(void)pthread_cond_signal(&w->wake);
	}
	lock_drop(&c->lock);
	return wanted;
}

static void take_text(struct redis_calls *c, const char *text, size_t bytes)
{
	static struct log_limit limit = LOG_LIMIT(1);
	struct wire_reply reply;
	int rc = wire_reply_decode(text, bytes, &reply);

	if (rc == 0 && reply.session.written > 0)
		c->owner.written(c->owner.self, reply.session.written);
	if (rc < 0) {
		count(COUNT_LOGIC_BAD_MESSAGES);
		LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_REPLY_UNREADABLE), log_i64("bytes", (int64_t)bytes),
			    log_str("error", err_text(rc)));
	} else if (hand_over(c, &reply)) {
		return;
	} else {
		take_late(c, &reply);
	}
	wire_reply_fini(&reply);
}

static void take_message(void *self, struct redisReply *m)
{
	struct redis_calls *c = self;
	const struct redisReply *text = redis_listen_text(m);

	if (text != NULL)
		take_text(c, text->str, (size_t)text->len);
	freeReplyObject(m);
}

static void *listen_for_replies(void *arg)
{
	struct redis_calls *c = arg;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	redis_listen(c->redis, &(struct redis_listener){.channel = c->channel.text, .take = take_message, .self = c});
	return NULL;
}

/* ---- start and stop ---- */

static int start_parts(struct redis_calls *c)
{
	const struct redis_options redis = redis_options_of(c->cfg, "replies");
	int rc;

	c->channel = redis_name_channel(c->cfg, "reply", c->server_id);
	if ((rc = redis_new(&redis, &c->redis)) < 0 ||
	    (rc = thread_spawn(THREAD_SERVICE, "replies", listen_for_replies, c, &c->listener)) < 0)
		return rc;
	return redis_finder_start(c->cfg, c->pipe, c->clock, &c->finder);
}

int redis_calls_start(const struct config *cfg, const char *server_id, struct redis_pipe *pipe,
		      struct redis_clock *clock, const struct redis_calls_owner *owner, struct redis_calls **out)
{
	struct redis_calls *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->magic = REDIS_CALLS_MAGIC;
	c->cfg = cfg;
	c->server_id = server_id;
	c->pipe = pipe;
	c->clock = clock;
	c->owner = *owner;
	lock_init(&c->lock, LOCK_SERVICE);
	strmap_init(&c->waiters);
	if (getrandom(&c->nonce, sizeof(c->nonce), 0) != (ssize_t)sizeof(c->nonce))
		c->nonce = (uint64_t)clock_wall_ms();
	if ((rc = start_parts(c)) < 0) {
		redis_calls_stop(c);
		redis_calls_free(&c);
		return rc;
	}
	*out = c;
	return 0;
}

void redis_calls_stop(struct redis_calls *c)
{
	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	lock_take(&c->lock);
	c->stop = true;
	lock_drop(&c->lock);
	if (c->finder != NULL)
		redis_finder_stop(c->finder);
	if (c->redis != NULL)
		redis_stop(c->redis);
	if (c->listener != NULL)
		thread_join(&c->listener);
}

void redis_calls_free(struct redis_calls **calls)
{
	struct redis_calls *c = *calls;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	if (c->finder != NULL)
		redis_finder_free(&c->finder);
	if (c->redis != NULL)
		redis_free(&c->redis);
	strmap_fini(&c->waiters);
	lock_fini(&c->lock);
	c->magic = 0;
	free(c);
	*calls = NULL;
}
