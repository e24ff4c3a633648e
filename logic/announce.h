/* announce: says in comet:logics that this instance is up, by a thread, for as long as it hears comets' requests.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_ANNOUNCE_H
#define LOGIC_ANNOUNCE_H

#include <stdbool.h>

#include "common/config/config.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_pipe.h"

struct announce;

/* Start the thread; the arguments outlive it, `clock` is set by every answer. `cluster` is the name of the data (schema_check). 0, -ENOMEM, -EAGAIN. */
int announce_start(const struct config *cfg, struct redis_pipe *pipe, const char *instance, struct redis_clock *clock,
		   const char *cluster, struct announce **out);
/* Join, and take the instance out of the list: comets that read it from now on do not ask us any more. Waits for at most
 * twice redis.timeout. */
void announce_stop(struct announce *a);
/* After announce_stop; nobody calls it any more. */
void announce_free(struct announce **a);

/* The instance hears requests from now on, and is announced at once; or it hears none, and is announced no more. Any thread. */
void announce_set_hearing(struct announce *a, bool hearing);
/* Does the instance hear requests, and does the list say so? Any thread. */
bool announce_stands(struct announce *a);

#endif
