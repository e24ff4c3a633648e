/* round: round-robin shares of timers and read buffers, so that no lock is everybody's. SPDX-License-Identifier: MIT */
#ifndef COMET_ROUND_H
#define COMET_ROUND_H

#include <stddef.h>
#include <stdint.h>

#include "comet/timer.h"
#include "common/base/lock.h"

/* Read buffers of one size, lent while a packet or a burst needs one. A few are kept for the next who asks. */
struct buffers {
	/* set once */
	size_t size;
	unsigned keep_max;
	/* under lock */
	struct lock lock;
	void *free_list;
	unsigned n_free;
};

/* A buffer of b->size bytes, or NULL. Takes b->lock. */
uint8_t *buffers_get(struct buffers *b) WITHOUT(b->lock);
/* Give it back; NULL is ignored. Takes b->lock. */
void buffers_put(struct buffers *b, uint8_t *buffer) WITHOUT(b->lock);

struct round {
	unsigned n;
	struct round_share *shares;
};

/* n shares (at least 1), read buffers of buffer_bytes; starts the timer threads, which call fire. 0, -ENOMEM, -EAGAIN. */
int round_init(struct round *r, unsigned n, size_t buffer_bytes, timer_fire *fire);
/* No entry is filed and no buffer lent any more. Joins the timer threads. */
void round_fini(struct round *r);

/* The share of the i-th connection. */
struct timer *round_timer(struct round *r, unsigned i);
struct buffers *round_buffers(struct round *r, unsigned i);

#endif
