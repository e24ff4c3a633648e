/* thread: see thread.h.
 *
 * A parked thread costs what the kernel needs and the pages of its stack that were touched; everything else is ours to
 * save. So a connection's stack is a slice of a slab, its struct thread lies in the stack's descriptor, and such a thread
 * needs nothing of malloc to begin and to end. SPDX-License-Identifier: MIT */
#include "common/base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "common/base/counters.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/stack.h"

#define SERVICE_STACK_BYTES (1048576 * STACK_SCALE)
#define PAGE_BYTES          4096

struct thread {
	unsigned magic;
#define THREAD_MAGIC 0x74687264
	/* set before it runs */
	bool unjoined;
	struct stack *stack; /* NULL for a service thread */
	pthread_t id;
	const char *name;
	void *(*fn)(void *);
	void *arg;
	/* under unjoined.lock */
	struct thread *next;
};

/* This thread, if it is one of ours. */
static __thread struct thread *self;

static struct {
	struct lock lock;
	struct thread *oldest, *newest; /* unjoined threads that have left their function, in that order */
	unsigned n_running;             /* those that have not */
} unjoined = {.lock = LOCK_STATIC(LOCK_POOL)};

enum cause { CAUSE_LIMIT, CAUSE_MEMORY, CAUSE_MAX };

static const char *const causes[CAUSE_MAX] = {[CAUSE_LIMIT] = "limit", [CAUSE_MEMORY] = "memory"};

COUNTER_LABELS(THREADS_FAILED, causes, CAUSE_MAX);

_Static_assert(sizeof(struct thread) <= STACK_OWNER_BYTES, "a thread lives in its stack's descriptor");

static struct thread *thread_new(enum thread_kind kind, const struct thread *wanted)
{
	struct stack *stack = NULL;
	struct thread *t;

	if (kind == THREAD_SERVICE)
		t = malloc(sizeof(*t));
	else if ((stack = stack_get()) != NULL)
		t = (struct thread *)(void *)stack->owner;
	else
		t = NULL;
	if (t == NULL)
		return NULL;
	*t = *wanted;
	t->magic = THREAD_MAGIC;
	t->stack = stack;
	return t;
}

static void thread_free(struct thread *t)
{
	t->magic = 0;
	if (t->stack != NULL)
		stack_put(t->stack);
	else
		free(t);
}

/* ---- who left ---- */

static void add_left(struct thread *t, unsigned n_leaving)
{
	lock_take(&unjoined.lock);
	t->next = NULL;
	if (unjoined.oldest == NULL)
		unjoined.oldest = t;
	else
		unjoined.newest->next = t;
	unjoined.newest = t;
	unjoined.n_running -= n_leaving;
	lock_drop(&unjoined.lock);
}

/* The one that left first and is not joined, or NULL; *running is right for that moment. */
static struct thread *take_left(unsigned *running)
{
	struct thread *t;

	lock_take(&unjoined.lock);
	if ((t = unjoined.oldest) != NULL)
		unjoined.oldest = t->next;
	*running = unjoined.n_running;
	lock_drop(&unjoined.lock);
	return t;
}

/* False if it has left its function, but not quite ended. Never waits. */
static bool join_if_ended(struct thread *t)
{
	int err = pthread_tryjoin_np(t->id, NULL);

	BUG_UNLESS(err == 0 || err == EBUSY);
	if (err == 0)
		thread_free(t);
	return err == 0;
}

/* The last act of an unjoined thread: to join two that left before it. So those that left grow fewer with each that
 * leaves, their stacks are soon others', and a burst of ends keeps no memory until somebody comes. */
static void leave(struct thread *t)
{
	struct thread *before;
	unsigned running;

	for (int i = 0; i < 2 && (before = take_left(&running)) != NULL; i++)
		if (!join_if_ended(before))
			add_left(before, 0);
	/* Only now: thread_reap() must not find 0 running while somebody has one in hand. */
	add_left(t, 1);
}

/* ---- threads ---- */

/* The bytes that this function and madvise may use below the frame address: a page that reaches in there is kept, or they would
 * return to an address that has become 0. Tests wrap madvise, and the wrapper uses more. */
#ifdef LOCK_CHECKS
#define FRAME_BYTES 512
#else
#define FRAME_BYTES 128
#endif

void thread_trim_stack(void)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0) - FRAME_BYTES;
	char *top = (char *)(frame & ~(uintptr_t)(PAGE_BYTES - 1));

	/* That the kernel keeps the pages is no loss but of memory. */
	if (self != NULL && self->stack != NULL && top > self->stack->base)
		(void)madvise(self->stack->base, (size_t)(top - self->stack->base), MADV_DONTNEED);
}

static void *enter(void *arg)
{
	struct thread *t = arg;
	void *result;

	OBJ_CHECK(t, THREAD_MAGIC);
	self = t;
	(void)prctl(PR_SET_NAME, t->name);
	result = t->fn(t->arg);
	count_add(COUNT_THREADS, -1);
	if (t->unjoined)
		leave(t);
	return result;
}

/* All signals are main's, but for those that a fault of the thread itself raises: a sanitizer's handler wants to tell. */
static void fill_mask(sigset_t *mask)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

	(void)sigfillset(mask);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		(void)sigdelset(mask, faults[i]);
}

static int create(struct thread *t)
{
	pthread_attr_t attr;
	sigset_t mask;
	int err;

	fill_mask(&mask);
	if ((err = pthread_attr_init(&attr)) != 0)
		return -err;
	if (t->stack != NULL)
		err = pthread_attr_setstack(&attr, t->stack->base, STACK_BYTES);
	else
		err = pthread_attr_setstacksize(&attr, SERVICE_STACK_BYTES);
	if (err == 0)
		err = pthread_attr_setsigmask_np(&attr, &mask);
	if (err == 0)
		err = pthread_create(&t->id, &attr, enter, t);
	(void)pthread_attr_destroy(&attr);
	return -err;
}

static int fail(int rc)
{
	count_by(COUNT_THREADS_FAILED, rc == -ENOMEM ? CAUSE_MEMORY : CAUSE_LIMIT);
	return rc == -ENOMEM ? rc : -EAGAIN;
}

/* *out is set before the thread runs, and so is t->id by pthread_create: the thread may end, and be joined by another,
 * before we are back. */
static int spawn(enum thread_kind kind, const struct thread *wanted, struct thread **out)
{
	struct thread *t = thread_new(kind, wanted);
	int rc;

	if (t == NULL)
		return fail(-ENOMEM);
	*out = t;
	count(COUNT_THREADS);
	if ((rc = create(t)) == 0)
		return 0;
	*out = NULL;
	count_add(COUNT_THREADS, -1);
	thread_free(t);
	return fail(rc);
}

int thread_spawn(enum thread_kind kind, const char *name, void *(*fn)(void *), void *arg, struct thread **out)
{
	const struct thread wanted = {.name = name, .fn = fn, .arg = arg};

	return spawn(kind, &wanted, out);
}

void thread_join(struct thread **thread)
{
	struct thread *t = *thread;

	OBJ_CHECK(t, THREAD_MAGIC);
	BUG_UNLESS(pthread_join(t->id, NULL) == 0);
	thread_free(t);
	*thread = NULL;
}

static void add_running(int n)
{
	lock_take(&unjoined.lock);
	unjoined.n_running += (unsigned)n;
	lock_drop(&unjoined.lock);
}

int thread_spawn_unjoined(enum thread_kind kind, const char *name, void *(*fn)(void *), void *arg)
{
	const struct thread wanted = {.name = name, .fn = fn, .arg = arg, .unjoined = true};
	struct thread *t;
	int rc;

	add_running(1);
	if ((rc = spawn(kind, &wanted, &t)) < 0)
		add_running(-1);
	return rc; /* NOLINT(clang-analyzer-unix.Malloc): the thread has its struct, leave() passes it on */
}

unsigned thread_reap(void)
{
	struct thread *t;
	unsigned running;

	while ((t = take_left(&running)) != NULL)
		thread_join(&t);
	return running;
}

void thread_fini(void)
{
	stack_fini();
}
