/* streams: the numbered streams of rooms and users in Redis, by their names (common/base/kept.h), as clients of a comet join them and back ends ask for them. Any thread, no lock held:
 * they wait. SPDX-License-Identifier: MIT */
#ifndef CLUSTER_STREAMS_H
#define CLUSTER_STREAMS_H

#include "common/config/config.h"
#include "common/redis/redis_pipe.h"
#include "common/wire/acks.h"
#include "common/wire/resume.h"

/* Read all of them in one go; each has its own rc. */
void streams_resume(struct redis_pipe *pipe, const struct config *cfg, int64_t deadline_ns, struct resume *all,
		    size_t n);
/* The numbers of these rooms live on as if somebody had joined now. 0, or the errors of redis_pipe_call. */
int streams_stay(struct redis_pipe *pipe, const struct config *cfg, const char *const *rooms, size_t n,
		 int64_t deadline_ns);
/* A device has confirmed all up to `at` of its user's stream. 0, or the errors of redis_pipe_call. */
int streams_confirm(struct redis_pipe *pipe, const struct config *cfg, const char *name, const struct ack *ack,
		    int64_t deadline_ns);
/* What the devices of a user have confirmed, for acks_fini. 0; -ERR_NO_LOGIC, -ENOMEM. */
int streams_confirmed(struct redis_pipe *pipe, const char *name, int64_t deadline_ns, struct acks *out);

#endif
