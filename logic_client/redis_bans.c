/* redis_bans: see redis_bans.h. SPDX-License-Identifier: MIT */
#include "logic_client/redis_bans.h"

#include <errno.h>
#include <stdlib.h>

#include "cluster/arrive.h"
#include "cluster/bans_redis.h"

struct redis_bans {
	struct redis_pipe *pipe;
	struct bans_redis *bans;
};

int redis_bans_start(const struct config *cfg, struct bans *bans, struct redis_bans **out)
{
	const struct redis_options redis = arrive_options(cfg, "bans");
	struct redis_bans *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	if ((rc = redis_pipe_start(&redis, &r->pipe)) < 0)
		goto free_it;
	if ((rc = bans_redis_start(cfg, r->pipe, bans, &r->bans)) < 0)
		goto stop_pipe;
	*out = r;
	return 0;

stop_pipe:
	redis_pipe_stop(&r->pipe);
free_it:
	free(r);
	return rc;
}

void redis_bans_stop(struct redis_bans **redis)
{
	struct redis_bans *r = *redis;

	bans_redis_stop(&r->bans);
	redis_pipe_stop(&r->pipe);
	free(r);
	*redis = NULL;
}
