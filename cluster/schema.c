/* schema: see schema.h. SPDX-License-Identifier: MIT */
#include "cluster/schema.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "cluster/script.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/signals.h"
#include "common/redis/redis_reply.h"

void schema_say(int64_t layout)
{
	static struct log_limit limit = LOG_LIMIT(1);

	LOG_LIMITED(LOG_ERROR, &limit, log_what(layout > SCHEMA ? EVENT_LAYOUT_TOO_NEW : EVENT_LAYOUT_TOO_OLD),
		    log_i64("layout", layout), log_i64("ours", SCHEMA));
}

enum { FITS, NEWER, OLDER };

/* One of these, and the data's layout; or -errno: Redis does not answer. */
static int ask(const struct config *cfg, struct redis_pipe *pipe, int64_t *layout, char cluster[SCHEMA_CLUSTER_BYTES],
	       char generation[SCHEMA_GENERATION_BYTES])
{
	struct redisReply *reply;
	int rc = script_run(pipe, &script_schema, clock_now_ns() + cfg->redis_timeout * CLOCK_MS, &reply, "%d %lld %s",
			    SCHEMA, (long long)cfg->redis_lease, cluster);

	if (rc < 0)
		return rc;
	*layout = redis_reply_number(reply, 1);
	rc = redis_reply_says(reply, "newer") ? NEWER : redis_reply_says(reply, "older") ? OLDER : FITS;
	if (rc == FITS) {
		(void)snprintf(cluster, SCHEMA_CLUSTER_BYTES, "%s", redis_reply_text(reply, 2));
		(void)snprintf(generation, SCHEMA_GENERATION_BYTES, "%s?", redis_reply_text(reply, 3));
	}
	freeReplyObject(reply);
	return rc;
}

static void propose(char cluster[SCHEMA_CLUSTER_BYTES])
{
	uint64_t dice;

	if (getrandom(&dice, sizeof(dice), 0) != (ssize_t)sizeof(dice))
		dice = (uint64_t)clock_now_ns();
	(void)snprintf(cluster, SCHEMA_CLUSTER_BYTES, "%016" PRIx64, dice);
}

int schema_check(const struct config *cfg, struct redis_pipe *pipe, char cluster[SCHEMA_CLUSTER_BYTES],
		 char generation[SCHEMA_GENERATION_BYTES])
{
	const struct timespec moment = {.tv_nsec = 100 * CLOCK_MS};
	int64_t gone_by = clock_now_ns() + cfg->redis_lease * CLOCK_MS * 3 / 2, layout = 0;
	int rc;

	propose(cluster);
	generation[0] = '\0';
	while ((rc = ask(cfg, pipe, &layout, cluster, generation)) == OLDER && clock_now_ns() < gone_by) {
		(void)nanosleep(&moment, NULL);
		if (signals_ask_to_stop())
			return -ECANCELED;
	}
	if (rc == NEWER || rc == OLDER) {
		schema_say(layout);
		return -ERR_SCHEMA;
	}
	return 0;
}
