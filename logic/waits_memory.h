/* waits_memory: back ends that wait for entries which this process keeps. What keeps them has it inside, with its lock. Any thread.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_WAITS_MEMORY_H
#define LOGIC_WAITS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/lock.h"
#include "logic/upstream.h"

/* Each holds a thread of the HTTP server. */
#define WAITS_MEMORY_MAX 64

struct waits_memory {
	/* set once */
	bool (*has_news)(const void *self, uint64_t after); /* Is an entry there after this id? Under lock */
	const void *self;
	/* under lock */
	struct lock lock; /* also of all that its owner keeps */
	pthread_cond_t more;
	bool stopped;
	unsigned readers;
};

/* Never fails. */
void waits_memory_init(struct waits_memory *w, enum lock_rank rank, bool (*has_news)(const void *self, uint64_t after),
		       const void *self);
void waits_memory_fini(struct waits_memory *w);

/* Wait as the query says, while there is nothing after this id; asks for the caller without the lock. 0; -EBUSY: too many wait already. */
int waits_memory_wait_locked(struct waits_memory *w, uint64_t after, const struct upstream_query *query) NEEDS(w->lock);
/* An entry came: those that wait look again. */
void waits_memory_tell(struct waits_memory *w);
/* Those that wait return, and later ones do not wait. */
void waits_memory_stop(struct waits_memory *w) WITHOUT(w->lock);

#endif
