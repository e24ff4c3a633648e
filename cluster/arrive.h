/* arrive: the first words of a connection through which a program writes: are the data where they were, and does Redis keep them?
 * SPDX-License-Identifier: MIT */
#ifndef CLUSTER_ARRIVE_H
#define CLUSTER_ARRIVE_H

#include <stddef.h>

#include "common/redis/redis.h"

/* redis_options_of, with these first words. */
struct redis_options arrive_options(const struct config *cfg, const char *name);
/* For /readyz: what an operator should know of this Redis, or nothing. */
void arrive_note(char *text, size_t bytes);

#endif
