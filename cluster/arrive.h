/* arrive: the first words of a connection through which a program writes: are the data where they were, and does Redis keep them?
 * SPDX-License-Identifier: MIT */
#ifndef CLUSTER_ARRIVE_H
#define CLUSTER_ARRIVE_H

#include "common/redis/redis.h"

/* redis_options_of, with these first words. */
struct redis_options arrive_options(const struct config *cfg, const char *name);

#endif
