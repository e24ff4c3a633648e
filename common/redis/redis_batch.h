/* redis_batch: calls on their way over one connection: how they go out, and which answer is whose. Calls of a script that is of_many and
 * stand one behind the other go out as one command. Part of redis_pipe, on its thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_BATCH_H
#define COMMON_REDIS_REDIS_BATCH_H

#include "common/redis/redis_call.h"

/* Write all of them. 0, or the connection is gone. */
int redis_batch_send(struct redis *redis, struct redis_scripts *scripts, const struct call_list *batch);
/* Read the answers, and end each call with its own; those without one stay in the batch. 0, or the connection is gone. */
int redis_batch_read(struct redis *redis, struct redis_scripts *scripts, struct call_list *batch);

#endif
