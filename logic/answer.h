/* answer: the requests of comets, as they come over pub/sub: a thread that takes them, threads that work on them, and one
 * that says that this instance is up. SPDX-License-Identifier: MIT */
#ifndef LOGIC_ANSWER_H
#define LOGIC_ANSWER_H

#include <stddef.h>

#include "common/config/config.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_pipe.h"
#include "logic/logic.h"

struct answer;

/* Listen on comet:logic:<instance> and announce it. While Redis is unreachable it goes on trying. All arguments outlive it.
 * 0, -ENOMEM, -EAGAIN, -errno. */
int answer_start(const struct config *cfg, struct redis_pipe *pipe, struct logic *l, const char *instance,
		 struct answer **out);
/* Say that it is going, answer the requests that were taken, join. */
void answer_stop(struct answer **a);

/* Redis's clock, as the announcements tell it; until answer_stop. */
struct redis_clock *answer_clock(struct answer *a);

/* For struct http_health; arg is the struct answer *. -ENOTCONN: comets cannot reach this instance now. */
int answer_ready(void *arg, char *text, size_t text_bytes);

#endif
