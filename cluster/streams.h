/* streams: the numbered streams of rooms in Redis, as clients of a comet join them and back ends ask for them. Any thread, no lock held:
 * they wait. SPDX-License-Identifier: MIT */
#ifndef CLUSTER_STREAMS_H
#define CLUSTER_STREAMS_H

#include "common/config/config.h"
#include "common/redis/redis_pipe.h"
#include "common/wire/resume.h"

/* Read all of them in one go; each has its own rc. */
void streams_resume(struct redis_pipe *pipe, const struct config *cfg, int64_t deadline_ns, struct resume *all,
		    size_t n);
/* The numbers of these rooms live on as if somebody had joined now. 0, or the errors of redis_pipe_call. */
int streams_stay(struct redis_pipe *pipe, const struct config *cfg, const char *const *rooms, size_t n,
		 int64_t deadline_ns);

#endif
