/* timer: a min-heap of deadlines and one thread that waits for the first. Re-arming for later touches no heap: it stores
 * the new deadline, and the timer files the entry again when the old one comes up. One may fire 10 ms late. SPDX-License-Identifier: MIT */
#ifndef COMET_TIMER_H
#define COMET_TIMER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct timer;

/* Lives inside what it guards; its fields are the timer's. */
struct timer_entry {
	struct timer *timer; /* set once, by timer_add */
	_Atomic int64_t deadline_ns;
	_Atomic unsigned at; /* place in the heap + 1; 0 = not in it: fired, deleted, or not added */
	/* under the timer's lock */
	bool added;
	int64_t filed_ns; /* what the heap sorts by */
};

/* Called on the timer's thread with no lock held when the deadline has passed; must not block. The entry is then not
 * filed; timer_set files it again. */
typedef void timer_fire(struct timer_entry *e);

/* Starts the thread. 0, -ENOMEM, -EAGAIN. */
int timer_new(timer_fire *fire, struct timer **out);
/* All entries were deleted. Joins the thread. */
void timer_free(struct timer **t);

/* File e for deadline_ns (clock_now_ns). 0 or -ENOMEM. Takes the timer's lock. */
int timer_add(struct timer *t, struct timer_entry *e, int64_t deadline_ns);
/* Another deadline for an entry that was added; nothing happens to one that was deleted meanwhile. Takes the timer's lock
 * only where the new one is earlier, or the entry has fired. Any thread, also from fire. */
void timer_set(struct timer_entry *e, int64_t deadline_ns);
/* Not from fire. On return fire is not running for e and will not run again; waits for it if it is. An entry that
 * was never added is left alone. */
void timer_del(struct timer_entry *e);

#endif
