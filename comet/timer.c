/* timer: see timer.h. The thread sleeps until the first deadline, or without end while the heap is empty.
 * SPDX-License-Identifier: MIT */
#include "comet/timer.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/worker.h"

/* Deadlines are of seconds. Those that are closer to each other than this come up together, or the thread would wake up for each of the
 * clients that came in one after the other. */
#define GRAIN_NS (10 * CLOCK_MS)

struct timer {
	unsigned magic;
#define TIMER_MAGIC 0x71e3b00c
	/* set once */
	timer_fire *fire;
	struct worker worker;
	/* under lock */
	struct lock lock;
	pthread_cond_t fired; /* fire has returned */
	struct timer_entry *firing;
	struct timer_entry **heap; /* space for every entry added, filed or not, so that timer_set cannot fail */
	unsigned count;            /* filed */
	unsigned added;
	unsigned capacity;
	int64_t sleeps_until_ns; /* the thread; what is not due before needs no wake-up */
};

/* ---- the heap ---- */

static void place_locked(struct timer *t, unsigned at, struct timer_entry *e) NEEDS(t->lock)
{
	t->heap[at] = e;
	atomic_store(&e->at, at + 1);
}

static void sift_up_locked(struct timer *t, unsigned at) NEEDS(t->lock)
{
	struct timer_entry *e = t->heap[at];

	for (; at > 0 && t->heap[(at - 1) / 2]->filed_ns > e->filed_ns; at = (at - 1) / 2)
		place_locked(t, at, t->heap[(at - 1) / 2]);
	place_locked(t, at, e);
}

static void sift_down_locked(struct timer *t, unsigned at) NEEDS(t->lock)
{
	struct timer_entry *e = t->heap[at];

	for (unsigned child; (child = 2 * at + 1) < t->count; at = child) {
		if (child + 1 < t->count && t->heap[child + 1]->filed_ns < t->heap[child]->filed_ns)
			child++;
		if (t->heap[child]->filed_ns >= e->filed_ns)
			break;
		place_locked(t, at, t->heap[child]);
	}
	place_locked(t, at, e);
}

static void file_locked(struct timer *t, struct timer_entry *e, int64_t deadline_ns) NEEDS(t->lock)
{
	e->filed_ns = deadline_ns;
	place_locked(t, t->count++, e);
	sift_up_locked(t, t->count - 1);
}

static void unfile_locked(struct timer *t, struct timer_entry *e) NEEDS(t->lock)
{
	unsigned at = atomic_load(&e->at) - 1;
	struct timer_entry *last = t->heap[--t->count];

	atomic_store(&e->at, 0);
	if (last == e)
		return;
	place_locked(t, at, last);
	sift_up_locked(t, at);
	sift_down_locked(t, atomic_load(&last->at) - 1);
}

/* Must the thread be woken for it? */
static bool is_next_locked(const struct timer *t, const struct timer_entry *e) NEEDS(t->lock)
{
	return t->count > 0 && t->heap[0] == e && e->filed_ns < t->sleeps_until_ns;
}

/* ---- the thread ---- */

/* The entry whose time has come, or NULL; those re-armed meanwhile are filed again on the way. */
static struct timer_entry *expired_locked(struct timer *t, int64_t now) NEEDS(t->lock)
{
	while (t->count > 0 && t->heap[0]->filed_ns <= now) {
		struct timer_entry *e = t->heap[0];
		int64_t deadline = atomic_load(&e->deadline_ns);

		if (deadline <= now) {
			unfile_locked(t, e);
			return e;
		}
		e->filed_ns = deadline;
		sift_down_locked(t, 0);
	}
	return NULL;
}

static void fire_locked(struct timer *t, struct timer_entry *e) NEEDS(t->lock)
{
	t->firing = e;
	lock_drop(&t->lock);
	t->fire(e);
	lock_take(&t->lock);
	t->firing = NULL;
	/* Broadcast: more than one entry may be in timer_del. */
	(void)pthread_cond_broadcast(&t->fired);
}

/* Returns until when to sleep: for the first deadline of those that are left. */
static int64_t fire_expired(struct timer *t)
{
	struct timer_entry *e;
	int64_t now, next;

	lock_take(&t->lock);
	while ((e = expired_locked(t, now = clock_now_ns())) != NULL)
		fire_locked(t, e);
	next = t->count > 0 ? t->heap[0]->filed_ns : WORKER_IDLE;
	if (next < now + GRAIN_NS)
		next = now + GRAIN_NS;
	t->sleeps_until_ns = next;
	lock_drop(&t->lock);
	return next;
}

static void run(void *arg)
{
	struct timer *t = arg;

	OBJ_CHECK(t, TIMER_MAGIC);
	while (worker_wait(&t->worker, fire_expired(t)))
		;
}

/* ---- the face ---- */

int timer_new(timer_fire *fire, struct timer **out)
{
	struct timer *t = calloc(1, sizeof(*t));
	int rc;

	if (t == NULL)
		return -ENOMEM;
	t->magic = TIMER_MAGIC;
	t->fire = fire;
	t->sleeps_until_ns = WORKER_IDLE;
	lock_init(&t->lock, LOCK_TIMER);
	lock_cond_init(&t->fired);
	if ((rc = worker_start(&t->worker, "timer", run, t)) < 0) {
		(void)pthread_cond_destroy(&t->fired);
		lock_fini(&t->lock);
		free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void timer_free(struct timer **timer)
{
	struct timer *t = *timer;

	OBJ_CHECK(t, TIMER_MAGIC);
	lock_take(&t->lock);
	BUG_UNLESS(t->added == 0);
	lock_drop(&t->lock);
	worker_stop(&t->worker);
	(void)pthread_cond_destroy(&t->fired);
	lock_fini(&t->lock);
	free(t->heap);
	t->magic = 0;
	free(t);
	*timer = NULL;
}

static int make_space_locked(struct timer *t) NEEDS(t->lock)
{
	unsigned capacity = t->capacity == 0 ? 64 : t->capacity * 2;
	struct timer_entry **heap;

	if (t->added < t->capacity)
		return 0;
	if ((heap = reallocarray(t->heap, capacity, sizeof(struct timer_entry *))) == NULL)
		return -ENOMEM;
	t->heap = heap;
	t->capacity = capacity;
	return 0;
}

int timer_add(struct timer *t, struct timer_entry *e, int64_t deadline_ns)
{
	bool first = false;
	int rc;

	lock_take(&t->lock);
	if ((rc = make_space_locked(t)) == 0) {
		t->added++;
		e->timer = t;
		e->added = true;
		atomic_store(&e->deadline_ns, deadline_ns);
		file_locked(t, e, deadline_ns);
		first = is_next_locked(t, e);
	}
	lock_drop(&t->lock);
	if (first)
		worker_wake(&t->worker);
	return rc;
}

void timer_set(struct timer_entry *e, int64_t deadline_ns)
{
	struct timer *t = e->timer;
	int64_t before = atomic_exchange(&e->deadline_ns, deadline_ns);
	bool first = false;

	/* Later, and still filed: the thread finds the new deadline when the old one comes up. Were the entry to fire
	 * between the two loads, it would fire for a deadline that had passed before this call: the caller lost a race that
	 * it can lose anyway. */
	if (deadline_ns >= before && atomic_load(&e->at) != 0)
		return;
	lock_take(&t->lock);
	if (e->added && atomic_load(&e->at) == 0) {
		file_locked(t, e, deadline_ns);
	} else if (e->added && deadline_ns < e->filed_ns) {
		e->filed_ns = deadline_ns;
		sift_up_locked(t, atomic_load(&e->at) - 1);
	}
	first = is_next_locked(t, e);
	lock_drop(&t->lock);
	if (first)
		worker_wake(&t->worker);
}

void timer_del(struct timer_entry *e)
{
	struct timer *t = e->timer;

	if (t == NULL)
		return;
	lock_take(&t->lock);
	/* fire does not block, so this wait is short. fire may file the entry again: look after it has returned. */
	while (t->firing == e)
		lock_wait(&t->fired, &t->lock);
	if (atomic_load(&e->at) != 0)
		unfile_locked(t, e);
	if (e->added)
		t->added--;
	e->added = false;
	lock_drop(&t->lock);
}
