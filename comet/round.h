/* round: round-robin shares of timers and read buffers, so that no lock is everybody's. SPDX-License-Identifier: MIT */
#ifndef COMET_ROUND_H
#define COMET_ROUND_H

#include <stddef.h>

#include "comet/timer.h"
#include "comet/transport/buffers.h"

struct round {
	unsigned n;
	struct round_share *shares;
};

/* n shares (at least 1), read buffers of buffer_bytes; starts the timer threads, which call fire. 0, -ENOMEM, -EAGAIN. */
int round_init(struct round *r, unsigned n, size_t buffer_bytes, timer_fire *fire);
/* No entry is filed and no buffer lent any more. Joins the timer threads. */
void round_fini(struct round *r);

/* The buffers of the connection with this turn; turns count on. */
struct timer *round_timer(struct round *r, unsigned turn);
struct buffers *round_buffers(struct round *r, unsigned turn);

#endif
