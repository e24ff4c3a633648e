/* answer_redis: see answer.h. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
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
#include "common/base/strmap.h"
#include "common/base/thread.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_listen.h"
#include "logic/answer.h"
#include "logic/lua.h"

/* Requests that may wait for a worker. At 20,000 a second that is most of the second that a comet waits. */
#define QUEUE_MAX 16384
/* And so many bytes of them: packets on their way to a back end may be long. */
#define QUEUE_BYTES_MAX (64u << 20)

/* A message as it came. */
struct waiting {
	struct redisReply *message;
	int64_t since_ns;
};

/* Requests that wait, and who works on them. */
struct lane {
	/* set once */
	struct answer *answer;
	struct thread **workers;
	unsigned n_workers;
	/* under the answer's lock */
	pthread_cond_t work;
	struct waiting *queue;
	size_t head, count, bytes;
	bool no_more; /* nothing is put in any more: workers leave once it is empty */
};

struct answer {
	unsigned magic;
#define ANSWER_MAGIC 0xa45e4000
	/* set once */
	const struct config *cfg;
	struct redis_pipe *pipe;
	struct logic *logic;
	char *channel; /* comet:logic:<instance> */
	const char *instance;
	struct redis *redis; /* the subscriber's */
	struct thread *subscriber, *announcer;
	/* Where a back end decides who comes in, the others do not wait for it: those that want in have a lane of their own. */
	struct lane lane, slow_lane;
	/* any thread */
	struct redis_clock clock;
	atomic_bool subscribed;
	atomic_llong announced_ns; /* when Redis last took it */
	/* under lock */
	struct lock lock;
	pthread_cond_t stopping;
	bool stop; /* the announcer */
};

/* ---- the work: one request ---- */

static void send_reply(struct answer *a, const struct wire_request *request, const struct wire_reply *reply)
{
	static struct log_limit limit = LOG_LIMIT(1);
	int64_t deadline = clock_now_ns() + a->cfg->logic_timeout * CLOCK_MS;
	char *text;
	size_t bytes;
	int rc;

	if (request->reply[0] == '\0')
		return;
	if ((rc = wire_reply_encode(reply, &text, &bytes)) == 0) {
		rc = redis_pipe_post(a->pipe, deadline, "PUBLISH %s %b", request->reply, text, bytes);
		free(text);
	}
	if (rc < 0)
		LOG_LIMITED(LOG_WARN, &limit, log_str("server", request->server), log_what("reply not sent"),
			    log_str("error", err_text(rc)));
}

/* Counts of the rooms that this comet asks for. */
struct wanted {
	struct strmap rooms;
	struct wire_room_count *counts;
	size_t n;
};

static void take_count(void *arg, const char *room, int64_t count)
{
	struct wanted *w = arg;
	struct wire_room_count *asked = strmap_get(&w->rooms, room);

	if (asked != NULL)
		w->counts[w->n++] = (struct wire_room_count){asked->room, count};
}

static int count_rooms(struct answer *a, const struct wire_request *request, struct wanted *w)
{
	const struct registry_server server = {
		.id = (char *)(uintptr_t)request->server,
		.region = (char *)(uintptr_t) "",
		.addrs = (char *)(uintptr_t) "",
		.connections = request->load.connections,
		.addresses = request->load.addresses,
		.updated_ms = clock_wall_ms(),
	};
	int rc = 0;

	w->counts = calloc(request->n_rooms + 1, sizeof(*w->counts));
	if (w->counts == NULL)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < request->n_rooms; i++)
		rc = strmap_put(&w->rooms, request->rooms[i].room, (void *)(uintptr_t)&request->rooms[i], NULL);
	if (rc == 0)
		rc = logic_renew_online(a->logic, &server, request->rooms, request->n_rooms, take_count, w);
	return rc;
}

static void answer_renew_online(struct answer *a, const struct wire_request *request, struct wire_reply *reply)
{
	struct wanted wanted = {0};

	strmap_init(&wanted.rooms);
	reply->rc = count_rooms(a, request, &wanted);
	if (reply->rc == 0) {
		reply->rooms = wanted.counts;
		reply->n_rooms = wanted.n;
	}
	send_reply(a, request, reply);
	strmap_fini(&wanted.rooms);
	free(wanted.counts);
}

/* What the method says is done; the reply of a connect goes with its session. */
static void answer_request(struct answer *a, const struct wire_request *request)
{
	struct wire_reply reply = {.id = request->id};
	struct wire_renewal renewal;

	switch (request->method) {
	case WIRE_CONNECT:
		reply.rc = logic_connect(a->logic, request->server, &request->connect, &reply.session);
		break;
	case WIRE_REAUTH:
		reply.rc = logic_reauth(a->logic, request->server, &request->connect, &request->seat, &renewal);
		reply.session.lifetime_ms = renewal.lifetime_ms;
		memcpy(reply.session.refusal, renewal.refusal, sizeof(reply.session.refusal));
		break;
	case WIRE_DISCONNECT:
		reply.rc = logic_disconnect(a->logic, request->server, &request->seat);
		break;
	case WIRE_HEARTBEAT:
		reply.rc = logic_heartbeat(a->logic, request->server, &request->seat);
		break;
	case WIRE_RECEIVE:
		reply.rc = logic_receive(a->logic, request->server, &request->seat, &request->packet);
		break;
	default:
		answer_renew_online(a, request, &reply);
		return;
	}
	send_reply(a, request, &reply);
	free(reply.session.accepts);
}

/* Takes the message over, unless it is false: the queue is full. */
static bool enqueue(struct lane *lane, struct waiting w)
{
	struct answer *a = lane->answer;
	bool taken = false;

	lock_take(&a->lock);
	if (lane->count < QUEUE_MAX && lane->bytes < QUEUE_BYTES_MAX) {
		lane->queue[(lane->head + lane->count) % QUEUE_MAX] = w;
		lane->count++;
		lane->bytes += (size_t)w.message->element[2]->len;
		taken = true;
	}
	lock_drop(&a->lock);
	if (taken)
		(void)pthread_cond_signal(&lane->work);
	return taken;
}

static void lose(struct redisReply *message)
{
	static struct log_limit limit = LOG_LIMIT(1);

	freeReplyObject(message);
	count(COUNT_REQUESTS_LOST);
	LOG_LIMITED(LOG_WARN, &limit,
		    log_what("more requests than can be answered; start more comet-logic, or raise "
			     "logic.workers or auth.concurrency"));
}

static bool is_for_slow_lane(const struct lane *lane, const struct wire_request *request)
{
	const struct answer *a = lane->answer;

	return lane != &a->slow_lane && auth_waits(a->logic->auth) &&
	       (request->method == WIRE_CONNECT || request->method == WIRE_REAUTH);
}

/* True: the message is for the other lane. */
static bool work_on(struct lane *lane, const struct waiting *w)
{
	static struct log_limit limit = LOG_LIMIT(1);
	struct answer *a = lane->answer;
	const char *text = w->message->element[2]->str;
	size_t bytes = (size_t)w->message->element[2]->len;
	struct wire_request request;
	int rc = wire_request_decode(text, bytes, &request);
	bool passed_on = false;

	if (rc < 0) {
		count(COUNT_LOGIC_BAD_MESSAGES);
		LOG_LIMITED(LOG_WARN, &limit, log_what("a request that cannot be read"),
			    log_i64("bytes", (int64_t)bytes), log_str("error", err_text(rc)));
	} else if (request.connect.expires_ms > 0 && redis_clock_ms(&a->clock) > request.connect.expires_ms) {
		/* The comet waits no longer, and may have asked somebody else. */
		count(COUNT_REQUESTS_EXPIRED);
	} else if (is_for_slow_lane(lane, &request)) {
		passed_on = true;
	} else {
		answer_request(a, &request);
		count_observe(COUNT_REQUEST, clock_now_ns() - w->since_ns);
	}
	wire_request_fini(&request);
	return passed_on;
}

/* False: no more. */
static bool next_message(struct lane *lane, struct waiting *w)
{
	struct answer *a = lane->answer;
	bool any;

	lock_take(&a->lock);
	/* answer_stop ends this wait at the latest. */
	while (lane->count == 0 && !lane->no_more)
		lock_wait(&lane->work, &a->lock);
	any = lane->count > 0;
	if (any) {
		*w = lane->queue[lane->head];
		lane->head = (lane->head + 1) % QUEUE_MAX;
		lane->count--;
		lane->bytes -= (size_t)w->message->element[2]->len;
	}
	lock_drop(&a->lock);
	return any;
}

static void *work(void *arg)
{
	struct lane *lane = arg;
	struct answer *a = lane->answer;
	struct waiting w;

	OBJ_CHECK(a, ANSWER_MAGIC);
	while (next_message(lane, &w)) {
		if (!work_on(lane, &w))
			freeReplyObject(w.message);
		else if (!enqueue(&a->slow_lane, w))
			lose(w.message);
	}
	return NULL;
}

/* ---- the subscriber ---- */

/* An array of three whose first is this word. */
static bool is_message(const struct redisReply *m, const char *word)
{
	return m->type == REDIS_REPLY_ARRAY && m->elements == 3 && m->element[0]->str != NULL &&
	       strcmp(m->element[0]->str, word) == 0;
}

static void take_message(void *self, struct redisReply *m)
{
	struct answer *a = self;

	if (is_message(m, "message") && m->element[2]->str != NULL) {
		if (!enqueue(&a->lane, (struct waiting){m, clock_now_ns()}))
			lose(m);
		return;
	}
	if (is_message(m, "subscribe")) {
		atomic_store(&a->subscribed, true);
		LOG(LOG_INFO, log_what("answering comets"), log_str("channel", a->channel));
	}
	freeReplyObject(m);
}

static void is_lost(void *self)
{
	struct answer *a = self;

	atomic_store(&a->subscribed, false);
}

static void *subscribe(void *arg)
{
	struct answer *a = arg;

	OBJ_CHECK(a, ANSWER_MAGIC);
	redis_listen(a->redis,
		     &(struct redis_listener){.channel = a->channel, .take = take_message, .lost = is_lost, .self = a});
	return NULL;
}

/* ---- the announcer ---- */

/* In comet:logics each instance stands with the time at which it stops counting as up. Those long over are removed. */
static void announce(struct answer *a)
{
	static const char script[] = LUA_NOW "redis.call('ZADD', 'comet:logics', now + ARGV[2], ARGV[1]) "
					     "redis.call('ZREMRANGEBYSCORE', 'comet:logics', '-inf', now - 60000) "
					     "return now";
	int64_t deadline = clock_now_ns() + a->cfg->redis_timeout * CLOCK_MS;
	struct redisReply *reply;

	if (redis_pipe_call(a->pipe, REDIS_AGAIN, deadline, &reply, "EVAL %s 0 %s %lld", script, a->instance,
			    (long long)a->cfg->redis_lease) < 0)
		return; /* the pipe has logged why */
	redis_clock_set(&a->clock, reply->integer);
	atomic_store(&a->announced_ns, clock_now_ns());
	freeReplyObject(reply);
}

static void *keep_announced(void *arg)
{
	struct answer *a = arg;
	int64_t next;

	OBJ_CHECK(a, ANSWER_MAGIC);
	lock_take(&a->lock);
	while (!a->stop) {
		bool up = atomic_load(&a->subscribed);

		lock_drop(&a->lock);
		if (up)
			announce(a);
		next = clock_now_ns() + (up ? a->cfg->redis_lease * CLOCK_MS / 3 : 20 * CLOCK_MS);
		lock_take(&a->lock);
		while (!a->stop && lock_wait_until(&a->stopping, &a->lock, next))
			;
	}
	lock_drop(&a->lock);
	return NULL;
}

int answer_ready(void *arg, char *text, size_t text_bytes)
{
	struct answer *a = arg;
	int64_t said;

	OBJ_CHECK(a, ANSWER_MAGIC);
	said = atomic_load(&a->announced_ns);
	if (atomic_load(&a->subscribed) && said != 0 && clock_now_ns() - said < a->cfg->redis_lease * CLOCK_MS)
		return 0;
	(void)snprintf(text, text_bytes, "Redis is away");
	return -ENOTCONN;
}

/* ---- start and stop ---- */

static int start_lane(struct lane *lane, unsigned n)
{
	int rc;

	lane->workers = calloc(n, sizeof(*lane->workers));
	lane->queue = calloc(QUEUE_MAX, sizeof(*lane->queue));
	if (lane->workers == NULL || lane->queue == NULL)
		return -ENOMEM;
	for (; lane->n_workers < n; lane->n_workers++)
		if ((rc = thread_spawn(THREAD_SERVICE, "answer", work, lane, &lane->workers[lane->n_workers])) < 0)
			return rc;
	return 0;
}

static int start_threads(struct answer *a)
{
	int rc;

	if (auth_waits(a->logic->auth) && (rc = start_lane(&a->slow_lane, (unsigned)a->cfg->auth_concurrency)) < 0)
		return rc;
	if ((rc = start_lane(&a->lane, (unsigned)a->cfg->logic_workers)) < 0 ||
	    (rc = thread_spawn(THREAD_SERVICE, "subscribe", subscribe, a, &a->subscriber)) < 0)
		return rc;
	return thread_spawn(THREAD_SERVICE, "announce", keep_announced, a, &a->announcer);
}

int answer_start(const struct config *cfg, struct redis_pipe *pipe, struct logic *l, const char *instance,
		 struct answer **out)
{
	const struct redis_options redis = redis_options_of(cfg, "requests");
	struct answer *a = calloc(1, sizeof(*a));
	int rc = -ENOMEM;

	if (a == NULL)
		return rc;
	a->magic = ANSWER_MAGIC;
	a->cfg = cfg;
	a->pipe = pipe;
	a->logic = l;
	a->instance = instance;
	a->lane.answer = a;
	a->slow_lane.answer = a;
	lock_init(&a->lock, LOCK_SERVICE);
	lock_cond_init(&a->lane.work);
	lock_cond_init(&a->slow_lane.work);
	lock_cond_init(&a->stopping);
	if (asprintf(&a->channel, "comet:logic:%s", instance) < 0)
		a->channel = NULL;
	if (a->channel != NULL && (rc = redis_new(&redis, &a->redis)) == 0)
		rc = start_threads(a);
	if (rc < 0) {
		answer_stop(&a);
		return rc;
	}
	*out = a;
	return 0;
}

/* Works off what it was given: nothing is left in its queue. Whoever put something in has been joined. */
static void stop_lane(struct lane *lane)
{
	struct answer *a = lane->answer;

	lock_take(&a->lock);
	lane->no_more = true;
	lock_drop(&a->lock);
	(void)pthread_cond_broadcast(&lane->work);
	for (unsigned i = 0; i < lane->n_workers; i++)
		thread_join(&lane->workers[i]);
	free(lane->workers);
	free(lane->queue);
	(void)pthread_cond_destroy(&lane->work);
}

/* Comets that read the list from now on do not ask us any more; those that have read it find nobody listening. */
static void say_gone(struct answer *a)
{
	int64_t deadline = clock_now_ns() + a->cfg->redis_timeout * CLOCK_MS;

	if (atomic_load(&a->announced_ns) != 0)
		(void)redis_pipe_call(a->pipe, REDIS_AGAIN, deadline, NULL, "ZREM comet:logics %s", a->instance);
}

void answer_stop(struct answer **answer)
{
	struct answer *a = *answer;

	OBJ_CHECK(a, ANSWER_MAGIC);
	lock_take(&a->lock);
	a->stop = true;
	lock_drop(&a->lock);
	(void)pthread_cond_broadcast(&a->stopping);
	if (a->announcer != NULL)
		thread_join(&a->announcer);
	say_gone(a);
	if (a->redis != NULL)
		redis_stop(a->redis);
	if (a->subscriber != NULL)
		thread_join(&a->subscriber);
	/* In this order: the first hands on to the second. */
	stop_lane(&a->lane);
	stop_lane(&a->slow_lane);
	if (a->redis != NULL)
		redis_free(&a->redis);
	free(a->channel);
	(void)pthread_cond_destroy(&a->stopping);
	lock_fini(&a->lock);
	a->magic = 0;
	free(a);
	*answer = NULL;
}
