/* lock: see lock.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/base/lock.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/obj.h"

#ifdef LOCK_CHECKS
/* The locks that this thread holds, in the order taken. Eight deep is twice what the design ever nests. */
#define HELD_MAX 8
static __thread struct lock *held[HELD_MAX];
static __thread unsigned n_held;

static const char *const rank_names[] = {
	[LOCK_SERVICE] = "SERVICE", [LOCK_REGISTRY] = "REGISTRY", [LOCK_BUS] = "BUS",         [LOCK_BUCKET] = "BUCKET",
	[LOCK_ROOM] = "ROOM",       [LOCK_FEED] = "FEED",         [LOCK_CHANNEL] = "CHANNEL", [LOCK_TIMER] = "TIMER",
	[LOCK_POOL] = "POOL",       [LOCK_LOG] = "LOG",
};

static void check_order(struct lock *l)
{
	for (unsigned i = 0; i < n_held; i++)
		if (held[i]->rank >= l->rank) {
			(void)fprintf(stderr, "BUG: a lock of rank %s taken while one of rank %s is held\n",
				      rank_names[l->rank], rank_names[held[i]->rank]);
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

/* With LOCK_YIELDS=<number> in the environment a thread now and then lets others go first, or sleeps a moment, before it takes
 * a lock and after it dropped one: threads that rarely meet, meet. The number is the seed, though which thread comes when is the
 * kernel's choice. */
static uint64_t yields_seed;

__attribute__((constructor)) static void read_seed(void)
{
	const char *seed = getenv("LOCK_YIELDS");

	yields_seed = seed != NULL ? strtoull(seed, NULL, 10) : 0;
}

static void maybe_yield(void)
{
	static atomic_uint threads;
	static __thread uint64_t dice;
	const struct timespec moment = {.tv_nsec = 50000};

	if (yields_seed == 0)
		return;
	if (dice == 0)
		dice = yields_seed * 0x9e3779b97f4a7c15 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) +
		       1;
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	if (dice % 256 == 0)
		(void)nanosleep(&moment, NULL);
	else if (dice % 16 == 0)
		(void)sched_yield();
}
#else
#define check_order(l) ((void)(l))
#define forget(l)      ((void)(l))
#define maybe_yield()  ((void)0)
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
	maybe_yield();
	BUG_UNLESS(pthread_mutex_lock(&l->mutex) == 0);
}

UNCHECKED void lock_drop(struct lock *l)
{
	forget(l);
	BUG_UNLESS(pthread_mutex_unlock(&l->mutex) == 0);
	maybe_yield();
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
