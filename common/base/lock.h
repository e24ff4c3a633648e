/* lock: a mutex with a rank, and the words that tell the compiler who holds it.
 *
 * NEEDS, TAKES, DROPS and WITHOUT mean something to `clang -Wthread-safety` and nothing to other compilers. In builds
 * with LOCK_CHECKS (all test builds) taking two locks against the order of enum lock_rank aborts and names both.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_LOCK_H
#define COMMON_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__clang__)
#define LOCK_WORD(x) __attribute__((x))
#else
#define LOCK_WORD(x)
#endif

#define NEEDS(...)   LOCK_WORD(requires_capability(__VA_ARGS__)) /* the caller holds it */
#define TAKES(...)   LOCK_WORD(acquire_capability(__VA_ARGS__))  /* held on return */
#define DROPS(...)   LOCK_WORD(release_capability(__VA_ARGS__))  /* no longer held on return */
#define WITHOUT(...) LOCK_WORD(locks_excluded(__VA_ARGS__))      /* the caller must not hold it: it is taken inside */
#define UNCHECKED    LOCK_WORD(no_thread_safety_analysis)

/* The order in which one thread may take locks, outermost first. Locks of one rank are never held together. */
enum lock_rank {
	LOCK_SERVICE, /* start, stop and wiring: no hot path */
	LOCK_REGISTRY,
	LOCK_BUS,
	LOCK_PLACES,
	LOCK_BUCKET,
	LOCK_ROOM,
	LOCK_FEED,
	LOCK_CHANNEL,
	LOCK_TIMER,
	LOCK_POOL, /* buffers, stacks, tallies: taken last, and most are held for a few instructions. For longer: a certificate and
		    * its key being chosen in a handshake, all rooms' names copied, once in logic.renew_online, a message
		    * being deflated, once a dialect, and a chronicle being copied for who asks for it */
	LOCK_LOG,
};

struct LOCK_WORD(capability("lock")) lock {
	pthread_mutex_t mutex;
#ifdef LOCK_CHECKS
	enum lock_rank rank;
#endif
};

/* A lock with static storage: `static struct lock l = LOCK_STATIC(LOCK_LOG);` */
#ifdef LOCK_CHECKS
#define LOCK_STATIC(rank_)                                                                                             \
	{                                                                                                              \
		PTHREAD_MUTEX_INITIALIZER, rank_                                                                       \
	}
#else
#define LOCK_STATIC(rank_)                                                                                             \
	{                                                                                                              \
		PTHREAD_MUTEX_INITIALIZER                                                                              \
	}
#endif

/* lock_init cannot fail for the plain mutexes that we use (glibc); a failure would be a BUG. */
void lock_init(struct lock *l, enum lock_rank rank);
void lock_fini(struct lock *l);
void lock_take(struct lock *l) TAKES(*l);
void lock_drop(struct lock *l) DROPS(*l);

/* A condition variable on the monotonic clock; the same for lock_wait_until. */
void lock_cond_init(pthread_cond_t *cond);

/* Sleep until the condition is signalled (or for no reason at all: loop). The bound on the wait is the caller's to
 * guarantee; its comment says which. */
void lock_wait(pthread_cond_t *cond, struct lock *l) NEEDS(*l);

/* The same up to deadline_ns on clock_now_ns()'s scale: true if signalled (or woken for no reason), false when the
 * deadline has passed. */
bool lock_wait_until(pthread_cond_t *cond, struct lock *l, int64_t deadline_ns) NEEDS(*l);

#endif
