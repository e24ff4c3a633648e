/* reap: removes the data of dead comets. Every comet-logic watches all comets; the first that finds one dead removes it, in one
 * atomic step, so that no leader is needed. SPDX-License-Identifier: MIT */
#ifndef LOGIC_REAP_H
#define LOGIC_REAP_H

#include <stddef.h>

#include "common/config/config.h"
#include "common/redis/redis_pipe.h"
#include "logic/cluster_figures.h"

struct reap;

/* Three times in redis.lease, and each second where events.kinds has unacked, it writes and reads over this pipe; and as it looks at all comets
 * anyway, it notes the figures (NULL: none) each second. 0, -ENOMEM, -EAGAIN. The arguments outlive it. */
int reap_start(const struct config *cfg, struct redis_pipe *pipe, struct cluster_figures *figures, struct reap **out);
void reap_stop(struct reap **r);

/* For struct http_health. -ENOTCONN: Redis has not taken a write over this pipe for redis.lease; the words say why. */
int reap_ready(struct reap *r, char *text, size_t text_bytes);

#endif
