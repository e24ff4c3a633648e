/* reap: removes the data of dead comets. Every comet-logic watches all comets; the first that finds one dead removes it, in one
 * atomic step, so that no leader is needed. SPDX-License-Identifier: MIT */
#ifndef LOGIC_REAP_H
#define LOGIC_REAP_H

#include "common/config/config.h"
#include "common/redis/redis_pipe.h"

struct reap;

/* 0, -ENOMEM, -EAGAIN. The arguments outlive it. */
int reap_start(const struct config *cfg, struct redis_pipe *pipe, struct reap **out);
void reap_stop(struct reap **r);

#endif
