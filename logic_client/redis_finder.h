/* redis_finder: the instances of logic that a request may go to: a thread asks Redis which are up, three times in a lease, and
 * more often while a caller waits for one. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_FINDER_H
#define LOGIC_CLIENT_REDIS_FINDER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config/config.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_pipe.h"
#include "logic_client/redis_instances.h"

struct redis_finder;

/* Start the thread; the arguments outlive it, `clock` is set by every answer. 0, -ENOMEM, -EAGAIN. */
int redis_finder_start(const struct config *cfg, struct redis_pipe *pipe, struct redis_clock *clock,
		       struct redis_finder **out);
/* Join; from now on pick does not wait. */
void redis_finder_stop(struct redis_finder *f);
/* After redis_finder_stop; nobody calls it any more. */
void redis_finder_free(struct redis_finder **f);

/* An instance other than `but` (NULL: any), if there is another; waits for one to come up. False: none until the deadline. Any
 * thread, no lock held. */
bool redis_finder_pick(struct redis_finder *f, const char *but, int64_t deadline_ns, char name[REDIS_INSTANCE_BYTES]);
/* The instance does not hear requests, or hears them and does not answer: see redis_instances. Any thread. */
void redis_finder_gone(struct redis_finder *f, const char *name);
void redis_finder_silent(struct redis_finder *f, const char *name);
/* Is an instance known that is up? Any thread. */
bool redis_finder_has(struct redis_finder *f);

#endif
