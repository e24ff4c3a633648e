/* park_inside: what park.c (the waiters, parking) and park_block.c (waits in which another thread takes one's place) share; nobody else
 * includes it. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_PARK_INSIDE_H
#define COMMON_BASE_PARK_INSIDE_H

#include "common/base/crew.h"
#include "common/base/park_options.h"
#include "common/base/park_queue.h"
#include "common/base/park_sockets.h"

struct park {
	unsigned magic;
#define PARK_MAGIC 0x9a4c10d7
	/* set once */
	struct park_options opt;
	struct park_sockets sockets; /* its table under crew.lock */
	struct crew crew;
	/* under crew.lock */
	bool rung;                        /* who is on watch will hear it */
	struct park_queue ready;          /* to be resumed */
	struct park_queue yielded;        /* the same, behind all who are ready now */
	struct park_queue waits_to_block; /* until another has unblocked */
};

/* This thread, if it is one of a park's. */
struct park_self {
	struct park *park;
	unsigned waits;  /* it blocks: within how many waits */
	unsigned nested; /* it serves in the place of so many waits, */
	bool left;       /* and left one to the next thread */
};

extern __thread struct park_self park_self;

/* ---- being ready without a socket ---- */

/* Who is not on watch looks into the queues next. */
static inline void park_ring_locked(struct park *park) NEEDS(park->crew.lock)
{
	if (!park->crew.watched || park->rung)
		return;
	park->rung = true;
	park_sockets_ring(&park->sockets);
}

static inline void park_put_locked(struct park *park, struct park_queue *q, struct parked *p) NEEDS(park->crew.lock)
{
	park_queue_put_last(q, p, PARK_READY);
	park_ring_locked(park);
}

static inline void park_make_ready_locked(struct park *park, struct parked *p) NEEDS(park->crew.lock)
{
	park_put_locked(park, &park->ready, p);
}

/* Those whose turn to block has come; should one not block after all, see serve() of park.c. */
void park_let_next_block_locked(struct park *park) NEEDS(park->crew.lock);

#endif
