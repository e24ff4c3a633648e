/* redis_sentinel: see redis_sentinel.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_sentinel.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/redis/redis_greet.h"

void redis_sentinel_place(const char *host, const char *port, char *place, size_t bytes)
{
	(void)snprintf(place, bytes, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}

int redis_sentinel_open(struct redis *r, const char *sentinel)
{
	const struct redis_options *o = &r->opt;
	int rc = redis_dial_to(r, sentinel);

	if (rc == 0)
		rc = redis_authenticate(r, REDIS_LOGIN_SENTINEL, o->sentinel_user, o->sentinel_password);
	return rc;
}

static int ask(struct redis *r, char *place, size_t bytes)
{
	const struct redis_options *o = &r->opt;
	struct redisReply *reply = NULL;
	const char *port;
	int rc = redis_command(r, clock_now_ns() + o->timeout_ms * CLOCK_MS, &reply,
			       "SENTINEL get-master-addr-by-name %s", o->master);

	if (rc < 0)
		return rc;
	port = redis_reply_text(reply, 1);
	if (port[0] == '\0')
		rc = -ENOENT;
	else
		redis_sentinel_place(redis_reply_text(reply, 0), port, place, bytes);
	freeReplyObject(reply);
	return rc;
}

void redis_sentinel_say(const struct redis *r, int rc)
{
	LOG(rc == -EACCES || rc == -EPERM || rc == -ENOENT ? LOG_ERROR : LOG_WARN, log_str("sentinel", r->where),
	    log_str("for", r->opt.name),
	    log_what(rc == -EACCES || rc == -EPERM ? EVENT_SENTINEL_LOGIN_REFUSED
		     : rc == -ENOENT               ? EVENT_SENTINEL_WITHOUT_MASTER
						   : EVENT_SENTINEL_UNREACHABLE),
	    log_str("error", err_text(rc)));
}

int redis_sentinel_ask(struct redis *r, const char *sentinel, char *place, size_t bytes)
{
	int rc = redis_sentinel_open(r, sentinel);

	if (rc == 0)
		rc = ask(r, place, bytes);
	redis_hang_up(r);
	return rc;
}
