/* redis_bans: a comet's copy of the cluster's bans, over a connection of its own, so that it waits for nothing that the comet asks.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_BANS_H
#define LOGIC_CLIENT_REDIS_BANS_H

#include "common/config/config.h"
#include "common/wire/bans.h"

struct redis_bans;

/* After redis_client_start. The arguments outlive it. 0, or redis_pipe_start's and worker_start's errors. */
int redis_bans_start(const struct config *cfg, struct bans *bans, struct redis_bans **out);
void redis_bans_stop(struct redis_bans **r);

#endif
