/* namesake: is there another comet-logic of this name? Two of one name would both answer each request that comets send to either, of
 * one cluster or of two. SPDX-License-Identifier: MIT */
#ifndef LOGIC_NAMESAKE_H
#define LOGIC_NAMESAKE_H

#include "common/config/config.h"
#include "common/redis/redis_pipe.h"

/* Before the start: ask whoever hears the requests to this instance, and wait for the end of one that answers, for at most one and a
 * half times redis.lease: it may be the process before this one. `cluster` is the name of our data.
 *   0            nobody answers, or Redis does not
 *   -ERR_NAMESAKE  there is one; it was logged, and whether it is of our cluster
 *   -ECANCELED   the process was asked to stop meanwhile */
int namesake_check(const struct config *cfg, struct redis_pipe *pipe, const char *instance, const char *cluster);

#endif
