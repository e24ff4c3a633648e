/* lock: see lock.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/obj.h"

#ifdef LOCK_CHECKS
/* What this thread holds, in the order taken. Eight deep is twice what the design ever nests. */
#define HELD_MAX 8
static __thread struct lock *held[HELD_MAX];
static __thread unsigned n_held;

static void check_order(struct lock *l)
{
	for (unsigned i = 0; i < n_held; i++)
		if (held[i]->rank >= l->rank) {
			(void)fprintf(stderr, "BUG: lock of rank %d taken while one of rank %d is held\n", (int)l->rank,
				      (int)held[i]->rank);
			abort();
		}
	BUG_UNLESS(n_held < HELD_MAX);
	held[n_held++] = l;
}

static void forget(struct lock *l)
{
	unsigned i = n_held;
	while (i > 0 && held[i - 1] != l)
		i--;
	BUG_UNLESS(i > 0);
	for (; i < n_held; i++)
		held[i - 1] = held[i];
	n_held--;
}
#else
#define check_order(l) ((void)(l))
#define forget(l)      ((void)(l))
#endif

void lock_init(struct lock *l, enum lock_rank rank)
{
	BUG_UNLESS(pthread_mutex_init(&l->mutex, NULL) == 0);
#ifdef LOCK_CHECKS
	l->rank = rank;
#else
	(void)rank;
#endif
}

void lock_fini(struct lock *l)
{
	BUG_UNLESS(pthread_mutex_destroy(&l->mutex) == 0);
}

UNCHECKED void lock_take(struct lock *l)
{
	check_order(l);
	BUG_UNLESS(pthread_mutex_lock(&l->mutex) == 0);
}

UNCHECKED void lock_drop(struct lock *l)
{
	forget(l);
	BUG_UNLESS(pthread_mutex_unlock(&l->mutex) == 0);
}

void lock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	BUG_UNLESS(pthread_condattr_init(&attr) == 0);
	BUG_UNLESS(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	BUG_UNLESS(pthread_cond_init(cond, &attr) == 0);
	(void)pthread_condattr_destroy(&attr);
}

void lock_wait(pthread_cond_t *cond, struct lock *l)
{
	BUG_UNLESS(pthread_cond_wait(cond, &l->mutex) == 0);
}

bool lock_wait_until(pthread_cond_t *cond, struct lock *l, int64_t deadline_ns)
{
	/* The clock counts from the boot: a moment before it is as late as the boot itself, and no timespec can name it. */
	int64_t until_ns = deadline_ns > 0 ? deadline_ns : 0;
	struct timespec ts = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
	int err = pthread_cond_timedwait(cond, &l->mutex, &ts);

	BUG_UNLESS(err == 0 || err == ETIMEDOUT);
	return err == 0;
}
