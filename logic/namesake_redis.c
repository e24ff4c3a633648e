/* namesake_redis: see namesake.h. The question is a request for room counts, which every logic answers, of older releases as well, and
 * which changes nothing. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/signals.h"
#include "common/redis/redis_name.h"
#include "common/redis/redis_ready.h"
#include "common/wire/wire.h"
#include "logic/namesake.h"

enum answer { NOBODY, OURS, ANOTHERS };

struct question {
	const struct config *cfg;
	struct redis_pipe *pipe;
	const char *instance, *cluster;
	struct redis *redis; /* hears the answer */
	char id[24];
	struct redis_name reply;
};

static int64_t soon(const struct question *q)
{
	return clock_now_ns() + q->cfg->redis_timeout * CLOCK_MS;
}

/* Milliseconds on Redis's clock. */
static int now_ms(const struct question *q, int64_t *ms)
{
	struct redisReply *reply;
	int rc = redis_command(q->redis, soon(q), &reply, "TIME");

	if (rc < 0)
		return rc;
	*ms = redis_reply_number(reply, 0) * 1000 + redis_reply_number(reply, 1) / 1000;
	freeReplyObject(reply);
	return 0;
}

/* *heard: so many hear it. */
static int publish(const struct question *q, int64_t expires_ms, int64_t *heard)
{
	const struct wire_request request = {
		.method = WIRE_RENEW_ONLINE,
		.id = q->id,
		.server = q->instance,
		.reply = q->reply.text,
		.connect = {.expires_ms = expires_ms},
	};
	struct redisReply *reply;
	size_t bytes;
	char *text;
	int rc = wire_request_encode(&request, &text, &bytes);

	if (rc < 0)
		return rc;
	rc = redis_pipe_call(q->pipe, REDIS_ONCE, soon(q), &reply, "PUBLISH %s %b",
			     redis_name_channel(q->cfg, "logic", q->instance).text, text, bytes);
	free(text);
	if (rc < 0)
		return rc;
	*heard = reply->integer;
	freeReplyObject(reply);
	return 0;
}

static enum answer judge(const struct question *q, const struct redisReply *message)
{
	struct wire_reply reply;
	enum answer answer = NOBODY;

	if (message->type != REDIS_REPLY_ARRAY || message->elements != 3 || !redis_reply_says(message, "message"))
		return NOBODY;
	if (wire_reply_decode(message->element[2]->str, (size_t)message->element[2]->len, &reply) == 0 &&
	    strcmp(reply.id, q->id) == 0)
		answer = reply.cluster[0] != '\0' && strcmp(reply.cluster, q->cluster) != 0 ? ANOTHERS : OURS;
	wire_reply_fini(&reply);
	return answer;
}

static enum answer wait_for_answer(const struct question *q)
{
	int64_t deadline = clock_now_ns() + q->cfg->logic_timeout * CLOCK_MS;
	enum answer answer = NOBODY;
	struct redisReply *message;

	while (answer == NOBODY && redis_read(q->redis, deadline, &message) == 0) {
		answer = judge(q, message);
		freeReplyObject(message);
	}
	return answer;
}

/* An answer, or -errno: Redis does not work. */
static int ask(struct question *q)
{
	struct redisReply *confirmed;
	int64_t now, heard;
	int rc;

	if ((rc = redis_ready(q->redis, soon(q), NULL)) < 0 || (rc = now_ms(q, &now)) < 0 ||
	    (rc = redis_command(q->redis, soon(q), &confirmed, "SUBSCRIBE %s", q->reply.text)) < 0)
		return rc;
	freeReplyObject(confirmed);
	if ((rc = publish(q, now + q->cfg->logic_timeout, &heard)) < 0)
		return rc;
	rc = heard > 0 ? (int)wait_for_answer(q) : NOBODY;
	return rc;
}

/* On a connection of its own each time: it ends with a subscription. */
static int ask_once(struct question *q)
{
	const struct redis_options options = redis_options_of(q->cfg, "namesake");
	int rc = redis_new(&options, &q->redis);

	if (rc < 0)
		return rc;
	rc = ask(q);
	redis_free(&q->redis);
	return rc;
}

static int say(const struct question *q, enum answer answer)
{
	LOG(LOG_ERROR, log_str("instance", q->instance),
	    log_what(answer == ANOTHERS ? EVENT_LOGIC_NAMESAKE_ELSEWHERE : EVENT_LOGIC_NAMESAKE));
	return -ERR_NAMESAKE;
}

static int ask_until_gone(struct question *q)
{
	const struct timespec moment = {.tv_nsec = 100 * CLOCK_MS};
	int64_t gone_by = clock_now_ns() + q->cfg->redis_lease * CLOCK_MS * 3 / 2;
	bool said = false;
	int answer;

	while ((answer = ask_once(q)) > NOBODY && clock_now_ns() < gone_by) {
		if (!said)
			LOG(LOG_INFO, log_str("instance", q->instance), log_what(EVENT_LOGIC_NAMESAKE_AWAITED));
		said = true;
		(void)nanosleep(&moment, NULL);
		if (signals_ask_to_stop())
			return -ECANCELED;
	}
	return answer > NOBODY ? say(q, (enum answer)answer) : 0;
}

int namesake_check(const struct config *cfg, struct redis_pipe *pipe, const char *instance, const char *cluster)
{
	struct question q = {.cfg = cfg, .pipe = pipe, .instance = instance, .cluster = cluster};
	uint64_t dice = 0;

	(void)!getrandom(&dice, sizeof(dice), 0);
	(void)snprintf(q.id, sizeof(q.id), "%016" PRIx64, dice);
	q.reply = redis_name_channel(cfg, "reply", q.id);
	return ask_until_gone(&q);
}
