/* redis_ready: see redis_ready.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_ready.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/redis/redis_greet.h"
#include "common/redis/redis_master.h"
#include "common/redis/redis_sentinel.h"

static int dial_and_greet(struct redis *r, const char *place)
{
	int rc;

	if ((rc = redis_dial_to(r, place)) == 0 && (rc = redis_greet(r)) < 0)
		redis_hang_up(r);
	return rc;
}

static void say_no_sentinel(const struct redis *r, int rc)
{
	if (redis_backoff_is_loud(&r->backoff))
		redis_sentinel_say(r, rc);
}

/* Where the Sentinels say. One that was left is still named by a Sentinel that is behind: only if no other is. */
static int try_sentinels(struct redis *r, bool also_left)
{
	const char *list = r->opt.sentinels;
	char sentinel[REDIS_PLACE_BYTES], place[REDIS_PLACE_BYTES];
	int rc = -ERR_NO_MASTER, asked;

	while (rc < 0 && !atomic_load(&r->stopped) && config_list_next(&list, sentinel, sizeof(sentinel))) {
		if ((asked = redis_sentinel_ask(r, sentinel, place, sizeof(place))) < 0)
			say_no_sentinel(r, asked);
		else if (!also_left && redis_master_was_left(place))
			rc = -ESTALE;
		else if ((rc = dial_and_greet(r, place)) == 0)
			r->switches = redis_master_is(place);
	}
	if (rc == -ERR_NO_MASTER)
		r->heard = REDIS_HEARD_NOTHING; /* of Redis */
	return rc;
}

static int try_once(struct redis *r)
{
	int rc;

	if (r->opt.sentinels[0] == '\0')
		return dial_and_greet(r, r->opt.addr);
	r->switches = redis_master_switches();
	rc = try_sentinels(r, false);
	return rc == -ESTALE ? try_sentinels(r, true) : rc;
}

static void say_no_connection(struct redis *r, int rc)
{
	const bool answered = r->heard == REDIS_HEARD_NO && rc != -EOPNOTSUPP;
	char why[sizeof(r->said.text)];

	if (rc == -EOPNOTSUPP)
		redis_said_unreachable(&r->said, "it is a Redis Cluster, which Comet cannot use");
	else if (r->heard == REDIS_HEARD_NOTHING)
		redis_said_unreachable(&r->said, err_text(rc));
	if (!redis_backoff_is_loud(&r->backoff))
		return;
	redis_said_why(&r->said, why, sizeof(why));
	LOG(answered && (rc == -EACCES || rc == -EPERM) ? LOG_ERROR : LOG_WARN,
	    log_str("redis", rc == -ERR_NO_MASTER ? r->opt.master : r->where), log_str("for", r->opt.name),
	    log_what(!answered       ? EVENT_REDIS_UNREACHABLE
		     : rc == -EACCES ? EVENT_REDIS_LOGIN_REFUSED
		     : rc == -EPERM  ? EVENT_REDIS_RIGHTS_MISSING
				     : EVENT_REDIS_REFUSES),
	    log_str("error", why));
}

static void say_connected(struct redis *r)
{
	static struct log_limit limit = LOG_LIMIT(10);

	redis_backoff_came(&r->backoff);
	r->is_up = r->fresh = true;
	redis_set_down(r, false);
	count(COUNT_REDIS_CONNECTED);
	LOG_LIMITED(LOG_INFO, &limit, log_str("redis", r->where), log_str("for", r->opt.name),
		    log_what(EVENT_REDIS_CONNECTED));
}

int redis_ready(struct redis *r, int64_t deadline_ns, bool *fresh)
{
	int rc;

	OBJ_CHECK(r, REDIS_MAGIC);
	if (redis_was_left(r))
		redis_drop(r, REDIS_LEFT);
	while (r->context == NULL) {
		int64_t until = r->backoff.next_try_ns < deadline_ns ? r->backoff.next_try_ns : deadline_ns;

		if ((rc = redis_wait(r, -1, until)) != -ETIMEDOUT)
			return rc;
		if (r->backoff.next_try_ns > clock_now_ns())
			return -ETIMEDOUT;
		if ((rc = try_once(r)) == 0) {
			say_connected(r);
			break;
		}
		say_no_connection(r, rc);
		redis_backoff_failed(&r->backoff);
	}
	if (atomic_load(&r->stopped))
		return -ESHUTDOWN;
	if (fresh != NULL)
		*fresh = r->fresh;
	r->fresh = false;
	return 0;
}
