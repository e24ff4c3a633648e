/* redis_calls: see redis_calls.h. Three threads: one listens for replies, one keeps the list of instances, one sends what
 * nobody waits for.
 *
 * A request says until when its reply is waited for, on Redis's clock, and whoever registers a connection checks that in one
 * step with the registration. So when a request is tried on another instance, the first try can no longer take effect, and
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

#include "common/clock.h"
#include "common/counters.h"
#include "common/err.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/obj.h"
#include "common/redis_listen.h"
#include "common/strmap.h"
#include "common/thread.h"
#include "logic_client/redis_instances.h"

/* Disconnects and renewals that may wait for a logic service; a comet's connections can all end while there is none. */
#define UNTOLD_MAX 1000000
/* Of renewals fewer: each comes again with the next heartbeat, and a disconnect does not. */
#define RENEWALS_MAX (UNTOLD_MAX / 2)
/* So many of them under way at a time. */
#define BATCH    256
#define ID_BYTES 48
/* Requests given up that are remembered, should their reply come after all. */
#define GIVEN_UP 1024

/* A request that waits for its reply, on the stack of who waits. */
struct waiter {
	char id[ID_BYTES];
	bool done;
	struct wire_reply reply;
	pthread_cond_t wake;
};

/* A request that nobody waits for. */
struct untold {
	struct untold *next;
	enum wire_method method;
	uint64_t session_id;
	int64_t mid;
	char key[];
};

struct redis_calls {
	unsigned magic;
#define REDIS_CALLS_MAGIC 0xca115000
	/* set once */
	const struct config *cfg;
	const char *server_id;
	struct redis_pipe *pipe;
	struct redis_clock *clock;
	char *channel;       /* comet:reply:<server> */
	uint64_t nonce;      /* tells our ids from those of an earlier process of this name */
	struct redis *redis; /* the listener's */
	struct thread *listener, *looker, *teller;
	/* any thread */
	atomic_ullong ids;
	/* under lock */
	struct lock lock;
	bool stop;
	struct strmap waiters;
	char given_up[GIVEN_UP][ID_BYTES];
	unsigned next_given_up;
	pthread_cond_t looked;  /* at the list of instances: for who waits for one */
	pthread_cond_t to_look; /* the looker's, who has his own: else those who wait would wake each other */
	bool look_now;
	struct redis_instances instances;
	pthread_cond_t told; /* there is something for the teller, or its end */
	struct untold *first, *last;
	size_t n_untold;
};

/* ---- instances ---- */

bool redis_calls_has_logic(struct redis_calls *c)
{
	bool has;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	lock_take(&c->lock);
	has = c->instances.n > 0;
	lock_drop(&c->lock);
	return has;
}

/* An instance other than `but`; waits for one to come up. False: none until the deadline. */
static bool pick(struct redis_calls *c, const char *but, int64_t deadline_ns, char name[REDIS_INSTANCE_BYTES])
{
	bool found;

	lock_take(&c->lock);
	while (!(found = redis_instances_pick(&c->instances, but, name)) && !c->stop) {
		if (!c->look_now)
			(void)pthread_cond_signal(&c->to_look);
		c->look_now = true;
		if (!lock_wait_until(&c->looked, &c->lock, deadline_ns))
			break;
	}
	lock_drop(&c->lock);
	return found;
}

static void is_gone(struct redis_calls *c, const char *name)
{
	lock_take(&c->lock);
	redis_instances_gone(&c->instances, name);
	lock_drop(&c->lock);
}

static void is_silent(struct redis_calls *c, const char *name)
{
	lock_take(&c->lock);
	redis_instances_silent(&c->instances, name);
	lock_drop(&c->lock);
}

/* Those whose lease is not over. The first element is Redis's time. */
static size_t read_instances(struct redis_calls *c, const struct redisReply *reply,
			     struct redis_instance list[REDIS_INSTANCES_MAX])
{
	int64_t now =
		reply->elements > 0 && reply->element[0]->str != NULL ? strtoll(reply->element[0]->str, NULL, 10) : 0;
	size_t n = 0;

	redis_clock_set(c->clock, now);
	for (size_t i = 1; i + 1 < reply->elements && n < REDIS_INSTANCES_MAX; i += 2) {
		const struct redisReply *name = reply->element[i], *until = reply->element[i + 1];
		int64_t until_ms = until->str != NULL ? (int64_t)strtod(until->str, NULL) : 0;

		if (name->str == NULL || (size_t)name->len >= REDIS_INSTANCE_BYTES || until_ms < now)
			continue;
		list[n] = (struct redis_instance){.until_ms = until_ms};
		memcpy(list[n++].name, name->str, (size_t)name->len);
	}
	return n;
}

static void look(struct redis_calls *c)
{
	static const char script[] =
		"local t = redis.call('TIME') "
		"local all = redis.call('ZRANGE', 'comet:logics', 0, -1, 'WITHSCORES') "
		"table.insert(all, 1, string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))) "
		"return all";
	int64_t deadline = clock_now_ns() + c->cfg->redis_timeout * CLOCK_MS;
	struct redis_instance *list = calloc(REDIS_INSTANCES_MAX, sizeof(*list));
	struct redisReply *reply;
	size_t n;

	if (list != NULL && redis_pipe_call(c->pipe, REDIS_AGAIN, deadline, &reply, "EVAL %s 0", script) == 0) {
		n = read_instances(c, reply, list);
		freeReplyObject(reply);
		lock_take(&c->lock);
		redis_instances_set(&c->instances, list, n);
		lock_drop(&c->lock);
	}
	free(list);
}

static void *keep_looking(void *arg)
{
	const int64_t hurry_ns = 20 * CLOCK_MS; /* while somebody waits for an instance */
	struct redis_calls *c = arg;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	lock_take(&c->lock);
	while (!c->stop) {
		int64_t begun = clock_now_ns();

		c->look_now = false;
		lock_drop(&c->lock);
		look(c);
		lock_take(&c->lock);
		/* Whatever came of it: those who still have none ask again. */
		(void)pthread_cond_broadcast(&c->looked);
		while (!c->stop &&
		       clock_now_ns() < begun + (c->look_now ? hurry_ns : c->cfg->redis_lease * CLOCK_MS / 3))
			(void)lock_wait_until(&c->to_look, &c->lock,
					      begun + (c->look_now ? hurry_ns : c->cfg->redis_lease * CLOCK_MS / 3));
	}
	lock_drop(&c->lock);
	return NULL;
}

/* ---- requests under way ---- */

static int waiter_add(struct redis_calls *c, struct waiter *w)
{
	int rc;

	*w = (struct waiter){0};
	lock_cond_init(&w->wake);
	(void)snprintf(w->id, sizeof(w->id), "%" PRIx64 "-%llu", c->nonce,
		       (unsigned long long)atomic_fetch_add(&c->ids, 1));
	lock_take(&c->lock);
	rc = strmap_put(&c->waiters, w->id, w, NULL);
	lock_drop(&c->lock);
	return rc;
}

/* From now on a reply to it is a late one. */
static void waiter_del(struct redis_calls *c, struct waiter *w)
{
	lock_take(&c->lock);
	(void)strmap_del(&c->waiters, w->id);
	if (!w->done) {
		memcpy(c->given_up[c->next_given_up], w->id, ID_BYTES);
		c->next_given_up = (c->next_given_up + 1) % GIVEN_UP;
	}
	lock_drop(&c->lock);
	(void)pthread_cond_destroy(&w->wake);
}

static bool waiter_wait(struct redis_calls *c, struct waiter *w, int64_t deadline_ns)
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
	request->reply = c->channel;
	/* Two milliseconds for what the two clocks round. */
	request->connect.expires_ms = now + c->cfg->logic_timeout - 2;
	return wire_request_encode(request, text, bytes);
}

/* Bring the text to one instance. 0: somebody got it, or perhaps; -ERR_NO_LOGIC: certainly nobody. */
static int publish(struct redis_calls *c, const char *text, size_t bytes, const char *but, int64_t deadline_ns,
		   char name[REDIS_INSTANCE_BYTES])
{
	while (pick(c, but, deadline_ns, name)) {
		struct redisReply *reply;
		int64_t receivers;
		int rc = redis_pipe_call(c->pipe, REDIS_ONCE, deadline_ns, &reply, "PUBLISH comet:logic:%s %b", name,
					 text, bytes);

		if (rc == -EAGAIN || rc == -ENOMEM || rc == -ESHUTDOWN)
			return rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
		if (rc < 0)
			return 0;
		receivers = reply->integer;
		freeReplyObject(reply);
		if (receivers > 0)
			return 0;
		is_gone(c, name);
	}
	return -ERR_NO_LOGIC;
}

static int ask_once(struct redis_calls *c, struct wire_request *request, struct wire_reply *reply,
		    char tried[REDIS_INSTANCE_BYTES])
{
	int64_t deadline = clock_now_ns() + c->cfg->logic_timeout * CLOCK_MS;
	char but[REDIS_INSTANCE_BYTES];
	struct waiter w;
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
		is_silent(c, tried);
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

int redis_calls_ask(struct redis_calls *c, struct wire_request *request, struct wire_reply *reply)
{
	char tried[REDIS_INSTANCE_BYTES] = "";
	int rc;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	rc = ask_once(c, request, reply, tried);
	if (rc == -ETIMEDOUT) {
		count(COUNT_LOGIC_RETRIED);
		rc = ask_once(c, request, reply, tried);
	}
	return rc == -ETIMEDOUT ? -ERR_NO_LOGIC : rc;
}

/* ---- replies ---- */

/* Was this request given up? True once for each, so that a reply that comes twice does no harm. */
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

/* Nobody waits any more, so nobody knows what was registered: it goes. */
static void undo_late(struct redis_calls *c, const struct wire_reply *reply)
{
	count(COUNT_LOGIC_LATE);
	if (was_given_up(c, reply->id) && reply->rc == 0 && reply->session.key[0] != '\0')
		(void)redis_calls_tell(c, WIRE_DISCONNECT, reply->session.key, reply->session.id, reply->session.mid);
}

/* Takes the reply over if somebody waits for it. */
static bool hand_over(struct redis_calls *c, struct wire_reply *reply)
{
	struct waiter *w;
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

	if (rc < 0) {
		count(COUNT_LOGIC_BAD_MESSAGES);
		LOG_LIMITED(LOG_WARN, &limit, log_what("a reply of logic that cannot be read"),
			    log_i64("bytes", (int64_t)bytes), log_str("error", err_text(rc)));
	} else if (hand_over(c, &reply)) {
		return;
	} else {
		undo_late(c, &reply);
	}
	wire_reply_fini(&reply);
}

static void take_message(void *self, struct redisReply *m)
{
	struct redis_calls *c = self;

	if (m->type == REDIS_REPLY_ARRAY && m->elements == 3 && m->element[2]->str != NULL &&
	    strcmp(m->element[0]->str, "message") == 0)
		take_text(c, m->element[2]->str, (size_t)m->element[2]->len);
	freeReplyObject(m);
}

static void *listen_for_replies(void *arg)
{
	struct redis_calls *c = arg;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	redis_listen(c->redis, &(struct redis_listener){.channel = c->channel, .take = take_message, .self = c});
	return NULL;
}

/* ---- what nobody waits for ---- */

static void say_lost(const char *key)
{
	static struct log_limit limit = LOG_LIMIT(1);

	count(COUNT_UNSENT_LOST);
	LOG_LIMITED(LOG_WARN, &limit, log_str("key", key), log_what("logic will not be told: too many wait already"));
}

int redis_calls_tell(struct redis_calls *c, enum wire_method method, const char *key, uint64_t session_id, int64_t mid)
{
	size_t bytes = strlen(key) + 1;
	struct untold *u = malloc(sizeof(*u) + bytes);
	bool taken = false;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	if (u == NULL) {
		say_lost(key);
		return -ENOMEM;
	}
	*u = (struct untold){.method = method, .session_id = session_id, .mid = mid};
	memcpy(u->key, key, bytes);
	lock_take(&c->lock);
	if (c->n_untold < (method == WIRE_HEARTBEAT ? RENEWALS_MAX : UNTOLD_MAX)) {
		if (c->last != NULL)
			c->last->next = u;
		else
			c->first = u;
		c->last = u;
		c->n_untold++;
		taken = true;
	}
	lock_drop(&c->lock);
	if (!taken) {
		free(u);
		say_lost(key);
		return -ENOBUFS;
	}
	count(COUNT_UNSENT);
	(void)pthread_cond_signal(&c->told);
	return 0;
}

size_t redis_calls_untold(struct redis_calls *c)
{
	size_t n;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	lock_take(&c->lock);
	n = c->n_untold;
	lock_drop(&c->lock);
	return n;
}

/* One of a batch. */
struct telling {
	struct untold *what;
	struct waiter waiter;
	struct redis_call *call;
	char name[REDIS_INSTANCE_BYTES];
	bool has_waiter;
};

/* Up to BATCH of those that wait; they stay counted until they are told. */
static size_t take_batch(struct redis_calls *c, struct telling *batch)
{
	size_t n = 0;

	lock_take(&c->lock);
	/* redis_calls_stop ends this wait at the latest. */
	while (c->first == NULL && !c->stop)
		lock_wait(&c->told, &c->lock);
	for (; !c->stop && n < BATCH && c->first != NULL; n++) {
		batch[n] = (struct telling){.what = c->first};
		c->first = c->first->next;
		if (c->first == NULL)
			c->last = NULL;
	}
	lock_drop(&c->lock);
	return n;
}

static int send_one(struct redis_calls *c, struct telling *t, int64_t deadline_ns)
{
	struct wire_request request = {
		.method = t->what->method,
		.key = t->what->key,
		.session_id = t->what->session_id,
		.mid = t->what->mid,
	};
	size_t bytes;
	char *text;
	int rc;

	if (!pick(c, NULL, deadline_ns, t->name))
		return -ERR_NO_LOGIC;
	if ((rc = waiter_add(c, &t->waiter)) < 0)
		return rc;
	t->has_waiter = true;
	if ((rc = encode(c, &request, t->waiter.id, &text, &bytes)) < 0)
		return rc;
	rc = redis_pipe_begin(c->pipe, REDIS_ONCE, deadline_ns, &t->call, "PUBLISH comet:logic:%s %b", t->name, text,
			      bytes);
	free(text);
	if (rc < 0)
		t->call = NULL;
	return rc;
}

/* Was it told? */
static bool end_one(struct redis_calls *c, struct telling *t, int64_t deadline_ns)
{
	struct redisReply *reply;
	bool told = false;

	if (t->call != NULL && redis_pipe_end(c->pipe, t->call, &reply) == 0) {
		if (reply->integer == 0)
			is_gone(c, t->name);
		else if (!(told = waiter_wait(c, &t->waiter, deadline_ns)))
			is_silent(c, t->name);
		freeReplyObject(reply);
	}
	if (t->has_waiter) {
		waiter_del(c, &t->waiter);
		told = t->waiter.done && t->waiter.reply.rc == 0;
		if (t->waiter.done)
			wire_reply_fini(&t->waiter.reply);
	}
	return told;
}

/* What was not told goes to the front again, in its order. */
static void put_back(struct redis_calls *c, struct telling *batch, size_t n)
{
	size_t told = 0;

	lock_take(&c->lock);
	while (n-- > 0) {
		struct untold *u = batch[n].what;

		if (u == NULL) {
			told++;
			continue;
		}
		u->next = c->first;
		c->first = u;
		if (c->last == NULL)
			c->last = u;
	}
	c->n_untold -= told;
	lock_drop(&c->lock);
	count_add(COUNT_UNSENT, -(int64_t)told);
}

/* True if all were told. */
static bool tell_batch(struct redis_calls *c, struct telling *batch, size_t n)
{
	int64_t deadline = clock_now_ns() + c->cfg->logic_timeout * CLOCK_MS;
	bool all = true;

	for (size_t i = 0; i < n && all; i++)
		all = send_one(c, &batch[i], deadline) == 0;
	for (size_t i = 0; i < n; i++)
		if (end_one(c, &batch[i], deadline)) {
			free(batch[i].what);
			batch[i].what = NULL;
		} else {
			all = false;
		}
	put_back(c, batch, n);
	return all;
}

static void *keep_telling(void *arg)
{
	const int64_t rest_ns = 100 * CLOCK_MS; /* after a failure, which pick() has mostly waited out */
	struct redis_calls *c = arg;
	struct telling *batch = calloc(BATCH, sizeof(*batch));
	size_t n;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	if (batch == NULL)
		LOG(LOG_ERROR, log_what("no memory to tell logic of disconnects; registrations run out by themselves"));
	while (batch != NULL && (n = take_batch(c, batch)) > 0) {
		int64_t until = clock_now_ns() + rest_ns;

		if (tell_batch(c, batch, n))
			continue;
		lock_take(&c->lock);
		while (!c->stop && lock_wait_until(&c->told, &c->lock, until))
			;
		lock_drop(&c->lock);
	}
	free(batch);
	return NULL;
}

/* ---- start and stop ---- */

static int start_threads(struct redis_calls *c)
{
	int rc;

	if ((rc = thread_spawn(THREAD_SERVICE, "replies", listen_for_replies, c, &c->listener)) < 0 ||
	    (rc = thread_spawn(THREAD_SERVICE, "instances", keep_looking, c, &c->looker)) < 0)
		return rc;
	return thread_spawn(THREAD_SERVICE, "tell logic", keep_telling, c, &c->teller);
}

int redis_calls_start(const struct config *cfg, const char *server_id, struct redis_pipe *pipe,
		      struct redis_clock *clock, struct redis_calls **out)
{
	const struct redis_options redis = redis_options_of(cfg, "replies");
	struct redis_calls *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->magic = REDIS_CALLS_MAGIC;
	c->cfg = cfg;
	c->server_id = server_id;
	c->pipe = pipe;
	c->clock = clock;
	lock_init(&c->lock, LOCK_SERVICE);
	lock_cond_init(&c->looked);
	lock_cond_init(&c->to_look);
	lock_cond_init(&c->told);
	strmap_init(&c->waiters);
	if (getrandom(&c->nonce, sizeof(c->nonce), 0) != (ssize_t)sizeof(c->nonce))
		c->nonce = (uint64_t)clock_wall_ms();
	rc = asprintf(&c->channel, "comet:reply:%s", server_id) < 0 ? -ENOMEM : 0;
	if (rc < 0)
		c->channel = NULL;
	if (rc == 0 && (rc = redis_new(&redis, &c->redis)) == 0)
		rc = start_threads(c);
	if (rc < 0) {
		redis_calls_stop(&c);
		return rc;
	}
	*out = c;
	return 0;
}

static void join_all(struct redis_calls *c)
{
	lock_take(&c->lock);
	c->stop = true;
	lock_drop(&c->lock);
	(void)pthread_cond_broadcast(&c->looked);
	(void)pthread_cond_broadcast(&c->to_look);
	(void)pthread_cond_broadcast(&c->told);
	if (c->teller != NULL)
		thread_join(&c->teller);
	if (c->looker != NULL)
		thread_join(&c->looker);
	if (c->redis != NULL)
		redis_stop(c->redis);
	if (c->listener != NULL)
		thread_join(&c->listener);
}

void redis_calls_stop(struct redis_calls **calls)
{
	struct redis_calls *c = *calls;
	struct untold *u;

	OBJ_CHECK(c, REDIS_CALLS_MAGIC);
	join_all(c);
	count_add(COUNT_UNSENT, -(int64_t)c->n_untold);
	while ((u = c->first) != NULL) {
		c->first = u->next;
		free(u);
	}
	if (c->redis != NULL)
		redis_free(&c->redis);
	strmap_fini(&c->waiters);
	free(c->channel);
	(void)pthread_cond_destroy(&c->looked);
	(void)pthread_cond_destroy(&c->to_look);
	(void)pthread_cond_destroy(&c->told);
	lock_fini(&c->lock);
	c->magic = 0;
	free(c);
	*calls = NULL;
}
