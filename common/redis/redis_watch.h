/* redis_watch: follows the Sentinels, so that no connection stays with a master that they have left: a thread hears `+switch-master` of
 * one of them, and asks all each third of redis.lease. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_WATCH_H
#define COMMON_REDIS_REDIS_WATCH_H

#include "common/config/config.h"

struct redis_watch;

/* Nothing is started where cfg has no Sentinels: *out is NULL. cfg outlives it. 0, -ENOMEM, -EAGAIN, -errno. */
int redis_watch_start(const struct config *cfg, struct redis_watch **out);
/* NULL: nothing to do. */
void redis_watch_stop(struct redis_watch **w);

#endif
