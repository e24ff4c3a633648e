/* pacer: pushes to all that are to be slow: at most a number of deliveries a second. One thread serves all of them,
 * each on its own clock. SPDX-License-Identifier: MIT */
#ifndef COMET_PACER_H
#define COMET_PACER_H

#include "comet/server.h"
#include "common/wire/message.h"

struct pacer;

/* 0, -ENOMEM, -EAGAIN. */
int pacer_start(struct server *s, struct pacer **out);
/* The deliveries that are left are dropped and counted. Joins. */
void pacer_stop(struct pacer **p);

/* Deliver to all that are online when their bucket's turn comes, `speed` (above 0) a second. Any thread.
 * 0; -EAGAIN: 64 such pushes run already; -ENOMEM; -EPIPE: stopping. */
int pacer_add(struct pacer *p, struct message *message, uint32_t speed);

#endif
