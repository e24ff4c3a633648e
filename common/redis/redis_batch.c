/* redis_batch: see redis_batch.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_batch.h"

#include <errno.h>
#include <hiredis/hiredis.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/redis/redis_inner.h"
#include "common/redis/redis_reply.h"

/* ---- out ---- */

static bool is_of_many(const struct redis_call *call)
{
	return call->script != NULL && call->script->of_many;
}

/* The first of these calls and those that go out with it. Returns the one behind them in *next. */
static int append_first(struct redis *redis, struct redis_scripts *scripts, struct redis_call *first,
			struct redis_call **next)
{
	struct redis_arguments all[REDIS_SCRIPT_CALLS_MAX];
	struct redis_call *call = first;
	size_t n = 0, bytes = 0;

	do {
		all[n++] = (struct redis_arguments){call->command, call->bytes};
		bytes += call->bytes;
		call = call->next;
	} while (is_of_many(first) && call != NULL && call->script == first->script && n < REDIS_SCRIPT_CALLS_MAX &&
		 bytes + call->bytes <= REDIS_SCRIPT_CALLS_BYTES);
	first->together = n;
	*next = call;
	if (first->script != NULL)
		return redis_scripts_append(scripts, redis, first->script, all, n);
	return redis_append(redis, first->command, first->bytes);
}

int redis_batch_send(struct redis *redis, struct redis_scripts *scripts, const struct call_list *batch)
{
	struct redis_call *call = batch->first;
	int rc;

	while (call != NULL)
		if ((rc = append_first(redis, scripts, call, &call)) < 0) {
			/* Half a batch stands in its buffer: only a new connection is free of it. */
			redis_drop(redis, err_text(rc));
			return rc;
		}
	return redis_flush(redis);
}

/* ---- back ---- */

static void say_refused(struct redis *redis, const struct redisReply *reply)
{
	static struct log_limit limit = LOG_LIMIT(2);

	redis_said_reply(&redis->said, reply->str);
	redis->heard = REDIS_HEARD_NO;
	LOG_LIMITED(LOG_WARN, &limit, log_str("for", redis->opt.name), log_what(EVENT_REDIS_COMMAND_REFUSED),
		    log_str("reply", reply->str));
}

/* Only this says for certain that nothing was done, since the script that was to do it is not there. Others that were sent with it
 * may meet it again, when another client brings it: so their order is not that of the calls any more, and it is for the caller
 * to do it again. */
static int was_forgotten(const struct redis *redis, const struct redis_call *call)
{
	static struct log_limit limit = LOG_LIMIT(1);

	LOG_LIMITED(LOG_INFO, &limit, log_str("for", redis->opt.name), log_what(EVENT_REDIS_SCRIPT_FORGOTTEN),
		    log_str("script", call->script->name));
	return call->was_sent ? -ECONNRESET : -ENOEXEC;
}

/* The return code that an error means for its call. */
static int judge_error(struct redis *redis, struct redis_scripts *scripts, const struct redis_call *call,
		       const struct redisReply *reply, int rc)
{
	if (call->script != NULL)
		redis_scripts_forget(scripts, call->script);
	if (rc == -ENOEXEC && call->script != NULL)
		return was_forgotten(redis, call);
	say_refused(redis, reply);
	return rc;
}

/* The first call has this reply, and takes it over if it is no error. 0; or the connection is gone, and the call has no end. */
static int end_first(struct redis *redis, struct redis_scripts *scripts, struct call_list *batch,
		     struct redisReply *reply)
{
	int rc = redis_reply_error(reply);

	if (rc < 0)
		rc = judge_error(redis, scripts, batch->first, reply, rc);
	if (redis_error_is_of_connection(rc)) {
		redis_drop_refused(redis, rc);
		return rc;
	}
	redis_call_finish(call_list_take(batch), rc, rc == 0 ? reply : NULL);
	return 0;
}

/* Those that went out together have this reply: each has its part, or all have the same error. It stays the caller's. */
static int end_together(struct redis *redis, struct redis_scripts *scripts, struct call_list *batch,
			struct redisReply *reply)
{
	const size_t n = batch->first->together;
	const bool is_error = reply->type == REDIS_REPLY_ERROR;
	int rc = 0;

	if (!is_error && (reply->type != REDIS_REPLY_ARRAY || reply->elements != n)) {
		redis_drop(redis, "it answered other calls");
		return -EPROTO;
	}
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct redisReply *part = is_error ? reply : reply->element[i];

		if (part->type != REDIS_REPLY_ERROR)
			reply->element[i] = NULL; /* which is the call's now */
		rc = end_first(redis, scripts, batch, part);
	}
	return rc;
}

int redis_batch_read(struct redis *redis, struct redis_scripts *scripts, struct call_list *batch)
{
	const int64_t timeout_ns = redis->opt.timeout_ms * CLOCK_MS;
	struct redisReply *reply;
	bool is_taken;
	int rc = 0;

	while (rc == 0 && batch->first != NULL) {
		rc = redis_read(redis, clock_now_ns() + timeout_ns, &reply);
		if (rc == -ETIMEDOUT)
			redis_drop(redis, "no answer in time");
		if (rc < 0)
			return rc;
		is_taken = !is_of_many(batch->first) && reply->type != REDIS_REPLY_ERROR;
		if (is_of_many(batch->first))
			rc = end_together(redis, scripts, batch, reply);
		else
			rc = end_first(redis, scripts, batch, reply);
		if (!is_taken)
			freeReplyObject(reply);
	}
	return rc;
}
