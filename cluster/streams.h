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
/* Write down what devices of n users have confirmed, some hundred at a time. 0, or the errors of redis_pipe_call: some of it is perhaps not
 * there. */
int streams_confirm(struct redis_pipe *pipe, const struct config *cfg, int64_t deadline_ns, const struct acks_of *all,
		    size_t n);
/* What the devices of a user have confirmed, for acks_fini. 0; -ERR_NO_LOGIC, -ENOMEM. */
int streams_confirmed(struct redis_pipe *pipe, const char *name, int64_t deadline_ns, struct acks *out);

#endif
