/* redis_listen: see redis_listen.h. On the thread that listens. SPDX-License-Identifier: MIT */
#include "common/redis/redis_listen.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/redis/redis_inner.h"
#include "common/redis/redis_ready.h"
#include "common/redis/redis_reply.h"

/* A connection on which nothing comes is asked whether it lives. */
#define QUIET_NS (5 * CLOCK_SEC)
/* So long after it was refused a subscription is asked for again. */
#define REFUSED_NS CLOCK_SEC

const struct redisReply *redis_listen_text(const struct redisReply *reply)
{
	const bool is_message = redis_reply_says(reply, "message") && reply->elements == 3;

	return is_message && reply->element[2]->str != NULL ? reply->element[2] : NULL;
}

static int subscribe(struct redis *r, const char *channel)
{
	int rc = redis_ready(r, clock_now_ns() + CLOCK_SEC, NULL);

	if (rc == 0 && (rc = redis_appendf(r, "SUBSCRIBE %s", channel)) == 0)
		rc = redis_flush(r);
	return rc;
}

/* Is this an error in place of the subscription? While it stands one is the answer to PING, which a Redis that cannot write to its disk
 * refuses, and messages come all the same. */
static bool is_refused(struct redis *r, const struct redisReply *reply, const char *channel, bool stands)
{
	static struct log_limit limit = LOG_LIMIT(1);

	if (reply->type != REDIS_REPLY_ERROR || stands)
		return false;
	redis_said_reply(&r->said, reply->str);
	redis_set_down(r, true);
	count(COUNT_REDIS_NOT_SUBSCRIBED);
	LOG_LIMITED(LOG_ERROR, &limit, log_str("redis", r->where), log_str("for", r->opt.name),
		    log_what(EVENT_REDIS_SUBSCRIPTION_REFUSED), log_str("channel", channel),
		    log_str("error", reply->str));
	return true;
}

/* Until the connection is gone, or the subscription is to be asked for again. */
static int take_all(struct redis *r, const struct redis_listener *l)
{
	struct redisReply *reply;
	bool asked = false, refused = false, stands = false;
	int rc;

	for (;;) {
		rc = redis_read(r, clock_now_ns() + (refused ? REFUSED_NS : QUIET_NS), &reply);
		if (rc == 0) {
			asked = false;
			refused = is_refused(r, reply, l->channel, stands);
			stands = !refused;
			if (stands)
				redis_set_down(r, false);
			l->take(l->self, reply);
		} else if (rc != -ETIMEDOUT || refused) {
			return rc;
		} else if (asked) {
			redis_drop(r, "silent");
		} else {
			asked = true;
			if (redis_appendf(r, "PING") == 0)
				(void)redis_flush(r);
		}
	}
}

void redis_listen(struct redis *r, const struct redis_listener *l)
{
	int rc;

	do {
		if ((rc = subscribe(r, l->channel)) == 0)
			rc = take_all(r, l);
		if (l->lost != NULL)
			l->lost(l->self);
	} while (rc != -ESHUTDOWN);
}
