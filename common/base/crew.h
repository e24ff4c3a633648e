/* crew: the threads of a park. One of them is on watch for all; the others serve, block in something else, or rest until they are
 * called. At most so many are awake, that is, neither blocked nor at rest. What the crew works on is under its lock, too.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_CREW_H
#define COMMON_BASE_CREW_H

#include <pthread.h>
#include <stdbool.h>

#include "common/base/lock.h"
#include "common/base/thread.h"

struct crew_options {
	const char *name; /* of its threads, static, at most 15 bytes */
	enum thread_kind kind;
	unsigned awake_max;
	void *(*work)(void *arg); /* ends with crew_leave_locked */
	void *arg;
};

struct crew {
	struct lock lock; /* of LOCK_POOL */
	/* set once */
	struct crew_options opt;
	/* under lock */
	pthread_cond_t left;
	unsigned threads, awake, blocked;
	bool watched; /* one is on watch: set and cleared by that one */
	bool stopping;
	struct resting *resting; /* the last that began to is called first, so that those who are too many end */
};

void crew_init(struct crew *crew, const struct crew_options *opt);
/* After crew_stop. */
void crew_fini(struct crew *crew);
/* As many threads as may be awake. 0, or -errno of thread_spawn: then some may have started. */
int crew_start(struct crew *crew);
/* Ends those at rest and waits for the others, of which nobody is on watch any more, or will not be for long. */
void crew_stop_locked(struct crew *crew) NEEDS(crew->lock);

/* ---- on one of its threads ---- */

/* Until it is called. False: the crew stops, or has too many threads, and nobody has called within two seconds: it is to leave, before
 * it drops the lock, since the others count who is too many. */
bool crew_rest_locked(struct crew *crew) NEEDS(crew->lock);
/* It leaves; all that a thread does after it is to drop the lock. */
void crew_leave_locked(struct crew *crew) NEEDS(crew->lock);
/* It no longer counts as awake, or does again. */
void crew_block_locked(struct crew *crew) NEEDS(crew->lock);
void crew_unblock_locked(struct crew *crew) NEEDS(crew->lock);

/* ---- any thread ---- */

/* One more, if one rests and may be awake. True: it comes. */
bool crew_call_locked(struct crew *crew) NEEDS(crew->lock);
/* The caller does nothing for the others for a while: if nobody is on watch one more is called, or is to be started. True: crew_add
 * starts it, without the lock. */
bool crew_replace_locked(struct crew *crew) NEEDS(crew->lock);
/* 0, or -errno of thread_spawn: it counts no more. */
int crew_add(struct crew *crew);

#endif
