/* arrive: see arrive.h. On the connection's thread. SPDX-License-Identifier: MIT */
#include "cluster/arrive.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "cluster/script.h"
#include "common/base/counters.h"
#include "common/base/log.h"

static atomic_bool evicts; /* by the last connection that was made */

/* An operator may have set it since, or the new master has another one. */
static void note_policy(const char *policy)
{
	static struct log_limit limit = LOG_LIMIT(1);
	bool is_one = policy[0] != '\0' && strcmp(policy, "noeviction") != 0;

	if (atomic_exchange(&evicts, is_one) != is_one)
		count_add(COUNT_REDIS_EVICTS, is_one ? 1 : -1);
	if (is_one)
		LOG_LIMITED(LOG_ERROR, &limit, log_str("policy", policy), log_what(EVENT_REDIS_EVICTS));
}

static int say_cluster(void)
{
	static struct log_limit limit = LOG_LIMIT(10);

	LOG_LIMITED(LOG_ERROR, &limit, log_what(EVENT_REDIS_IS_CLUSTER));
	return -EOPNOTSUPP;
}

static int arrive(struct redis *r, const struct redis_options *opt, int64_t deadline_ns)
{
	const struct redis_script *script = &script_arrive;
	struct redisReply *reply;
	int rc = redis_command(r, deadline_ns, &reply, "EVAL %b 1 %s", script->text,
			       (size_t)(script->end - script->text), redis_name_beginning(opt->prefix).text);

	if (rc < 0)
		return rc;
	if (redis_reply_says(reply, "cluster"))
		rc = say_cluster();
	else
		note_policy(redis_reply_text(reply, 1));
	freeReplyObject(reply);
	return rc;
}

void arrive_note(char *text, size_t bytes)
{
	if (atomic_load(&evicts))
		(void)snprintf(text, bytes,
			       "Redis may drop data that Comet needs: set its maxmemory-policy to noeviction");
}

struct redis_options arrive_options(const struct config *cfg, const char *name)
{
	struct redis_options opt = redis_options_of(cfg, name);

	opt.arrive = arrive;
	return opt;
}
