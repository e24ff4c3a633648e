/* redis_others: which other comets clients may be sent to. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_OTHERS_H
#define LOGIC_CLIENT_REDIS_OTHERS_H

#include "common/config/config.h"
#include "common/redis/redis_pipe.h"
#include "logic_client/logic_client.h"

/* Up to `max` comets whose lease stands and that are not going away themselves, without `but`; those of our
 * server.region first, among them the least loaded for their weights. Waits for Redis, at most redis.timeout. Returns
 * how many: 0 also where Redis does not answer. */
size_t redis_others(struct redis_pipe *pipe, const struct config *cfg, const char *but, struct logic_node *nodes,
		    size_t max);

#endif
