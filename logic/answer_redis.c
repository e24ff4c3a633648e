/* answer_redis: see answer.h. A thread hears the requests and puts them into a lane, whose threads answer them.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/network.h"
#include "common/base/obj.h"
#include "common/base/thread.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_listen.h"
#include "common/redis/redis_name.h"
#include "common/redis/redis_reply.h"
#include "logic/announce.h"
#include "logic/answer.h"
#include "logic/lane.h"
#include "logic/request.h"

/* Requests that may wait for a thread. At 20,000 a second that is most of the second that a comet waits. */
#define LANE_ITEMS_MAX 16384
/* And so many bytes of them: packets on their way to a back end may be long. */
#define LANE_BYTES_MAX (64u << 20)

struct answer {
	unsigned magic;
#define ANSWER_MAGIC 0xa45e4000
	/* set once */
	const struct config *cfg;
	struct redis_pipe *pipe;
	struct logic *logic;
	struct redis_name channel; /* of our requests */
	struct redis *redis;       /* the subscriber's */
	struct announce *announce;
	struct thread *subscriber;
	struct lane *lane;
	struct lane *slow_lane; /* NULL: all are answered in the other */
	/* any thread */
	struct redis_clock clock;
};

/* ---- one request ---- */

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
		LOG_LIMITED(LOG_WARN, &limit, log_str("server", request->server), log_what(EVENT_REPLY_UNSENT),
			    log_str("error", err_text(rc)));
}

static void answer_one(struct answer *a, const struct wire_request *request)
{
	struct wire_reply reply;

	request_answer(a->logic, request, &reply);
	send_reply(a, request, &reply);
	wire_reply_fini(&reply);
}

static void lose(struct redisReply *message)
{
	static struct log_limit limit = LOG_LIMIT(1);

	freeReplyObject(message);
	count(COUNT_REQUESTS_LOST);
	LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_REQUESTS_DROPPED));
}

static void say_bad(size_t bytes, int rc)
{
	static struct log_limit limit = LOG_LIMIT(1);

	count(COUNT_LOGIC_BAD_MESSAGES);
	LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_REQUEST_UNREADABLE), log_i64("bytes", (int64_t)bytes),
		    log_str("error", err_text(rc)));
}

/* Answer the item's request, or hand the item on to `other` (NULL: there is none) if it is for that lane. */
static void work_on(struct answer *a, const struct lane_item *item, struct lane *other)
{
	struct redisReply *message = item->what;
	struct wire_request request;
	int rc = wire_request_decode(message->element[2]->str, (size_t)message->element[2]->len, &request);

	if (rc < 0) {
		say_bad((size_t)message->element[2]->len, rc);
	} else if (request.connect.expires_ms > 0 && redis_clock_ms(&a->clock) > request.connect.expires_ms) {
		/* The comet waits no longer, and may have asked another instance. */
		count(COUNT_REQUESTS_EXPIRED);
	} else if (other != NULL && request_asks_who(&request)) {
		struct lane_item asks = *item;

		asks.sender = network_hash(request.connect.peer);
		if (!lane_put(other, &asks))
			lose(message);
		message = NULL;
	} else {
		answer_one(a, &request);
		count_observe(COUNT_REQUEST, clock_now_ns() - item->since_ns);
	}
	wire_request_fini(&request);
	if (message != NULL)
		freeReplyObject(message);
}

static void work(void *self, const struct lane_item *item)
{
	struct answer *a = self;

	OBJ_CHECK(a, ANSWER_MAGIC);
	work_on(a, item, a->slow_lane);
}

static void work_slowly(void *self, const struct lane_item *item)
{
	struct answer *a = self;

	OBJ_CHECK(a, ANSWER_MAGIC);
	work_on(a, item, NULL);
}

/* ---- the subscriber ---- */

static void take_message(void *self, struct redisReply *m)
{
	struct answer *a = self;
	const struct redisReply *text = redis_listen_text(m);

	if (text != NULL) {
		const struct lane_item item = {.what = m, .bytes = (size_t)text->len, .since_ns = clock_now_ns()};

		if (!lane_put(a->lane, &item))
			lose(m);
		return;
	}
	if (redis_reply_says(m, "subscribe")) {
		announce_set_hearing(a->announce, true);
		LOG(LOG_INFO, log_what(EVENT_LOGIC_READY), log_str("channel", a->channel.text));
	}
	freeReplyObject(m);
}

static void is_lost(void *self)
{
	struct answer *a = self;

	announce_set_hearing(a->announce, false);
}

static void *subscribe(void *arg)
{
	struct answer *a = arg;

	OBJ_CHECK(a, ANSWER_MAGIC);
	redis_listen(a->redis, &(struct redis_listener){
				       .channel = a->channel.text, .take = take_message, .lost = is_lost, .self = a});
	return NULL;
}

int answer_ready(void *arg, char *text, size_t text_bytes)
{
	struct answer *a = arg;

	OBJ_CHECK(a, ANSWER_MAGIC);
	if (announce_stands(a->announce))
		return 0;
	if (!redis_is_down(a->redis, 0, text, text_bytes))
		redis_pipe_words(a->pipe, text, text_bytes);
	return -ENOTCONN;
}

struct redis_clock *answer_clock(struct answer *a)
{
	OBJ_CHECK(a, ANSWER_MAGIC);
	return &a->clock;
}

/* ---- start and stop ---- */

/* Where a back end decides about new clients, their requests have a lane of their own, so that no other request waits for it. */
static int start_lanes(struct answer *a)
{
	struct lane_options opt = {
		.threads = (unsigned)a->cfg->logic_workers,
		.items_max = LANE_ITEMS_MAX,
		.bytes_max = LANE_BYTES_MAX,
		.work = work,
		.self = a,
	};
	struct lane_options slow = opt;
	int rc;

	slow.threads = (unsigned)a->cfg->auth_concurrency;
	slow.threads_of_one = slow.threads / 3 > 0 ? slow.threads / 3 : 1;
	slow.work = work_slowly;
	if (auth_waits(a->logic->auth) && (rc = lane_start(&slow, &a->slow_lane)) < 0)
		return rc;
	return lane_start(&opt, &a->lane);
}

static int start_parts(struct answer *a, const char *instance)
{
	const struct redis_options redis = redis_options_of(a->cfg, "requests");
	int rc;

	a->channel = redis_name_channel(a->cfg, "logic", instance);
	if ((rc = redis_new(&redis, &a->redis)) < 0 || (rc = start_lanes(a)) < 0 ||
	    (rc = announce_start(a->cfg, a->pipe, instance, &a->clock, a->logic->cluster, &a->announce)) < 0)
		return rc;
	return thread_spawn(THREAD_SERVICE, "subscribe", subscribe, a, &a->subscriber);
}

int answer_start(const struct config *cfg, struct redis_pipe *pipe, struct logic *l, const char *instance,
		 struct answer **out)
{
	struct answer *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL)
		return -ENOMEM;
	a->magic = ANSWER_MAGIC;
	a->cfg = cfg;
	a->pipe = pipe;
	a->logic = l;
	if ((rc = start_parts(a, instance)) < 0) {
		answer_stop(&a);
		return rc;
	}
	*out = a;
	return 0;
}

void answer_stop(struct answer **answer)
{
	struct answer *a = *answer;

	OBJ_CHECK(a, ANSWER_MAGIC);
	/* First the list: comets that look for an instance do not find this one; comets that have looked find nobody listening. */
	if (a->announce != NULL)
		announce_stop(a->announce);
	if (a->redis != NULL)
		redis_stop(a->redis);
	if (a->subscriber != NULL)
		thread_join(&a->subscriber);
	/* In this order: the first lane hands items on to the second. */
	if (a->lane != NULL)
		lane_stop(&a->lane);
	if (a->slow_lane != NULL)
		lane_stop(&a->slow_lane);
	if (a->announce != NULL)
		announce_free(&a->announce);
	if (a->redis != NULL)
		redis_free(&a->redis);
	a->magic = 0;
	free(a);
	*answer = NULL;
}
