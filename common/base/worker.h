/* worker: a thread that works until it is stopped, and sleeps between two pieces of work. It lies inside the object that it
 * works for. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_WORKER_H
#define COMMON_BASE_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/lock.h"

/* A deadline that never comes: sleep until there is work, or until the stop. */
#define WORKER_IDLE INT64_MAX

/* All fields are worker.c's. All zero, it is one that was not started. */
struct worker {
	unsigned magic;
#define WORKER_MAGIC 0x3047e400
	/* set once */
	struct thread *thread;
	void (*work)(void *arg);
	void *arg;
	/* under lock, which is held for a few instructions only */
	struct lock lock;
	pthread_cond_t changed;
	bool stopping;
	bool woken; /* since the last worker_wait */
};

/* Start work(arg) on a service thread of that name (see thread_spawn, whose errors it returns). work loops by worker_nap or
 * worker_wait, and returns when they say so. After a failure the struct is all zero again. */
int worker_start(struct worker *w, const char *name, void (*work)(void *arg), void *arg);

/* Sleep until then, on clock_now_ns()'s scale; false: the worker is to stop, and the sleep ended early. Any thread. */
bool worker_nap(struct worker *w, int64_t until_ns) WITHOUT(w->lock);
/* The same for the worker itself; worker_wake ends it, also one that came since the last worker_wait returned. */
bool worker_wait(struct worker *w, int64_t until_ns) WITHOUT(w->lock);
/* There is work. Any thread, while it holds no lock of LOCK_POOL or later. */
void worker_wake(struct worker *w) WITHOUT(w->lock);
bool worker_is_stopping(struct worker *w) WITHOUT(w->lock);

/* Ask it to stop, and don't wait: for an owner that must break off a call of the worker's before it joins. */
void worker_ask_to_stop(struct worker *w) WITHOUT(w->lock);
/* Ask and join; the struct is all zero again. How long it takes is bounded by work's way from one nap to the next. Both do
 * nothing for a worker that was not started. */
void worker_stop(struct worker *w) WITHOUT(w->lock);

#endif
