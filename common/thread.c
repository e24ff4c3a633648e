/* thread: see thread.h.
 *
 * A parked thread costs what the kernel needs and the pages of its stack that were touched; everything else is ours to
 * save. So a connection's stack is a slice of a slab, its struct thread lies at the stack's top, in a page that is touched
 * anyway, and neither start nor end of a thread calls malloc. SPDX-License-Identifier: MIT */
#include "common/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/counters.h"
#include "common/lock.h"
#include "common/obj.h"

/* Sanitizers' frames are several times as large, and ThreadSanitizer keeps close to a megabyte of its own on each. */
#if defined(__has_feature)
#define CLANG_HAS(x) __has_feature(x)
#else
#define CLANG_HAS(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || CLANG_HAS(thread_sanitizer)
#define STACK_SCALE 32
#elif defined(__SANITIZE_ADDRESS__) || CLANG_HAS(address_sanitizer)
#define STACK_SCALE 8
#else
#define STACK_SCALE 1
#endif

#define PAGE_BYTES          4096
#define STACK_BYTES         (65536 * STACK_SCALE)
#define SERVICE_STACK_BYTES (262144 * STACK_SCALE)
#define SLAB_STACKS         64
#define SLAB_BYTES          (SLAB_STACKS * (size_t)STACK_BYTES)
/* Free stacks whose pages are kept for the next thread; those beyond give them back. */
#define HOT_STACKS 256

/* linux/mman.h of 6.13: makes pages fault without a mapping of their own. */
#define MADV_GUARD_INSTALL_ 102

struct thread {
	unsigned magic;
#define THREAD_MAGIC 0x74687264
	enum thread_kind kind;
	bool unjoined;
	pthread_t id;
	const char *name;
	void *(*fn)(void *);
	void *arg;
	struct thread *next; /* in the free list or the list of those that left */
};

struct slab {
	struct slab *next;
	char *base;
};

static struct {
	struct lock lock;
	struct slab *slabs;
	struct thread *free_stacks;
	unsigned n_free;
	struct thread *left; /* unjoined threads that have left their function */
	unsigned n_unjoined; /* running or left */
} pool = {.lock = LOCK_STATIC(LOCK_POOL)};

enum cause { CAUSE_LIMIT, CAUSE_MEMORY, CAUSE_MAX };

void thread_label_counters(void)
{
	static const char *const names[CAUSE_MAX] = {[CAUSE_LIMIT] = "limit", [CAUSE_MEMORY] = "memory"};

	counters_label(COUNT_THREADS_FAILED, names, CAUSE_MAX);
}

/* ---- stacks ---- */

static char *stack_of(struct thread *t)
{
	return (char *)t + sizeof(*t) - STACK_BYTES;
}

/* A write below the stack must fault. Without MADV_GUARD_INSTALL a guard costs a mapping, and vm.max_map_count bounds
 * those: a stack without a guard is better than no thread. */
static void guard(char *stack)
{
	if (madvise(stack, PAGE_BYTES, MADV_GUARD_INSTALL_) < 0)
		(void)mprotect(stack, PAGE_BYTES, PROT_NONE);
}

static struct slab *slab_new(void)
{
	struct slab *slab = malloc(sizeof(*slab));
	void *base;

	if (slab == NULL)
		return NULL;
	base = mmap(NULL, SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
		    -1, 0);
	if (base == MAP_FAILED) {
		free(slab);
		return NULL;
	}
	slab->base = base;
	/* A huge page under a few touched stacks would cost more than all of them. The kernel may have none: no matter. */
	(void)madvise(base, SLAB_BYTES, MADV_NOHUGEPAGE);
	for (unsigned i = 0; i < SLAB_STACKS; i++)
		guard(slab->base + i * (size_t)STACK_BYTES);
	return slab;
}

static struct thread *stack_get(void)
{
	struct thread *t = NULL;
	struct slab *slab;

	lock_take(&pool.lock);
	if ((t = pool.free_stacks) != NULL) {
		pool.free_stacks = t->next;
		pool.n_free--;
	}
	lock_drop(&pool.lock);
	if (t != NULL || (slab = slab_new()) == NULL)
		return t;

	/* The first is for the caller, the others for those who come next. */
	lock_take(&pool.lock);
	slab->next = pool.slabs;
	pool.slabs = slab;
	for (unsigned i = 0; i < SLAB_STACKS; i++) {
		t = (struct thread *)(void *)(slab->base + (i + 1) * (size_t)STACK_BYTES - sizeof(*t));
		if (i + 1 < SLAB_STACKS) {
			t->next = pool.free_stacks;
			pool.free_stacks = t;
			pool.n_free++;
		}
	}
	lock_drop(&pool.lock);
	return t;
}

static void stack_put(struct thread *t)
{
	bool hot;

	lock_take(&pool.lock);
	hot = pool.n_free < HOT_STACKS;
	lock_drop(&pool.lock);
	/* All but the guard and the page that the list goes through. */
	if (!hot)
		(void)madvise(stack_of(t) + PAGE_BYTES, STACK_BYTES - 2 * (size_t)PAGE_BYTES, MADV_DONTNEED);
	lock_take(&pool.lock);
	t->next = pool.free_stacks;
	pool.free_stacks = t;
	pool.n_free++;
	lock_drop(&pool.lock);
}

static struct thread *thread_get(enum thread_kind kind)
{
	struct thread *t = kind == THREAD_CONNECTION ? stack_get() : malloc(sizeof(*t));

	if (t != NULL)
		*t = (struct thread){.magic = THREAD_MAGIC, .kind = kind};
	return t;
}

static void thread_put(struct thread *t)
{
	t->magic = 0;
	if (t->kind == THREAD_CONNECTION)
		stack_put(t);
	else
		free(t);
}

/* ---- threads ---- */

static void *enter(void *arg)
{
	struct thread *t = arg;
	void *result;

	OBJ_CHECK(t, THREAD_MAGIC);
	(void)prctl(PR_SET_NAME, t->name);
	result = t->fn(t->arg);
	if (!t->unjoined)
		return result;
	/* From the moment that the lock is dropped t may be joined, and its stack be another's once this thread is gone. */
	lock_take(&pool.lock);
	t->next = pool.left;
	pool.left = t;
	lock_drop(&pool.lock);
	return result;
}

static int create(struct thread *t)
{
	pthread_attr_t attr;
	sigset_t all;
	int err;

	(void)sigfillset(&all);
	if ((err = pthread_attr_init(&attr)) != 0)
		return -err;
	if (t->kind == THREAD_CONNECTION)
		err = pthread_attr_setstack(&attr, stack_of(t) + PAGE_BYTES, STACK_BYTES - PAGE_BYTES - sizeof(*t));
	else
		err = pthread_attr_setstacksize(&attr, SERVICE_STACK_BYTES);
	if (err == 0)
		err = pthread_attr_setsigmask_np(&attr, &all);
	if (err == 0)
		err = pthread_create(&t->id, &attr, enter, t);
	(void)pthread_attr_destroy(&attr);
	return -err;
}

static int spawn(enum thread_kind kind, const char *name, void *(*fn)(void *), void *arg, bool unjoined,
		 struct thread **out)
{
	struct thread *t = thread_get(kind);
	int rc;

	if (t == NULL) {
		count_by(COUNT_THREADS_FAILED, CAUSE_MEMORY);
		return -ENOMEM;
	}
	t->name = name;
	t->fn = fn;
	t->arg = arg;
	t->unjoined = unjoined;
	/* Before it runs: it may end, and be reaped, before we are back. */
	*out = t;
	count(COUNT_THREADS);
	if ((rc = create(t)) == 0)
		return 0;
	*out = NULL;
	count_add(COUNT_THREADS, -1);
	count_by(COUNT_THREADS_FAILED, rc == -ENOMEM ? CAUSE_MEMORY : CAUSE_LIMIT);
	thread_put(t);
	return rc == -ENOMEM ? rc : -EAGAIN;
}

int thread_spawn(enum thread_kind kind, const char *name, void *(*fn)(void *), void *arg, struct thread **out)
{
	return spawn(kind, name, fn, arg, false, out);
}

void thread_join(struct thread **thread)
{
	struct thread *t = *thread;

	OBJ_CHECK(t, THREAD_MAGIC);
	BUG_UNLESS(pthread_join(t->id, NULL) == 0);
	count_add(COUNT_THREADS, -1);
	thread_put(t);
	*thread = NULL;
}

/* One of those that left, or NULL. */
static struct thread *next_left(void)
{
	struct thread *t;

	lock_take(&pool.lock);
	if ((t = pool.left) != NULL) {
		pool.left = t->next;
		pool.n_unjoined--;
	}
	lock_drop(&pool.lock);
	return t;
}

int thread_spawn_unjoined(enum thread_kind kind, const char *name, void *(*fn)(void *), void *arg)
{
	struct thread *t;
	int rc;

	/* Two for one: those that left grow fewer while new ones come. The joins are short: they have nothing left to do. */
	for (int i = 0; i < 2 && (t = next_left()) != NULL; i++)
		thread_join(&t);
	lock_take(&pool.lock);
	pool.n_unjoined++;
	lock_drop(&pool.lock);
	if ((rc = spawn(kind, name, fn, arg, true, &t)) < 0) {
		lock_take(&pool.lock);
		pool.n_unjoined--;
		lock_drop(&pool.lock);
	}
	return rc; /* NOLINT(clang-analyzer-unix.Malloc): the thread has its struct, next_left() finds it */
}

unsigned thread_reap(void)
{
	struct thread *t;
	unsigned left;

	while ((t = next_left()) != NULL)
		thread_join(&t);
	lock_take(&pool.lock);
	left = pool.n_unjoined;
	lock_drop(&pool.lock);
	return left;
}

void thread_fini(void)
{
	struct slab *slab;
	unsigned stacks = 0;

	lock_take(&pool.lock);
	for (slab = pool.slabs; slab != NULL; slab = slab->next)
		stacks += SLAB_STACKS;
	BUG_UNLESS(pool.n_unjoined == 0 && pool.n_free == stacks);
	pool.free_stacks = NULL;
	pool.n_free = 0;
	slab = pool.slabs;
	pool.slabs = NULL;
	lock_drop(&pool.lock);
	while (slab != NULL) {
		struct slab *next = slab->next;

		(void)munmap(slab->base, SLAB_BYTES);
		free(slab);
		slab = next;
	}
}

/* ---- which limit was it? ---- */

static long long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long long n = -1;

	if (f == NULL)
		return -1;
	if (fscanf(f, "%lld", &n) != 1)
		n = -1;
	(void)fclose(f);
	return n;
}

static long long count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	long long n = 0;
	int ch;

	if (f == NULL)
		return 0;
	while ((ch = getc_unlocked(f)) != EOF)
		n += ch == '\n';
	(void)fclose(f);
	return n;
}

/* Threads of all processes: the second number of the fourth field of /proc/loadavg. */
static long long all_threads(void)
{
	FILE *f = fopen("/proc/loadavg", "re");
	long long n = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%*s %*s %*s %*d/%lld", &n) != 1)
		n = 0;
	(void)fclose(f);
	return n;
}

struct limit {
	const char *name, *how;
	long long value, used;
};

static double share(const struct limit *l)
{
	return l->value > 0 ? (double)l->used / (double)l->value : 0;
}

void thread_limit_text(char *text, size_t text_bytes)
{
	struct rlimit tasks;
	long long threads = all_threads();
	struct limit limits[] = {
		{"kernel.pid_max", "sysctl -w kernel.pid_max=4194304", read_number("/proc/sys/kernel/pid_max"),
		 threads},
		{"kernel.threads-max", "sysctl -w kernel.threads-max=N", read_number("/proc/sys/kernel/threads-max"),
		 threads},
		{"vm.max_map_count", "sysctl -w vm.max_map_count=N", read_number("/proc/sys/vm/max_map_count"),
		 count_lines("/proc/self/maps")},
		{"pids.max of the cgroup", "docker run --pids-limit=-1, or TasksMax=infinity",
		 read_number("/sys/fs/cgroup/pids.max"), read_number("/sys/fs/cgroup/pids.current")},
		{"RLIMIT_NPROC", "ulimit -u, or LimitNPROC=infinity", -1, threads},
	};
	const struct limit *worst = &limits[0];

	if (getrlimit(RLIMIT_NPROC, &tasks) == 0 && tasks.rlim_cur != RLIM_INFINITY)
		limits[4].value = (long long)tasks.rlim_cur;
	for (unsigned i = 1; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (share(&limits[i]) > share(worst))
			worst = &limits[i];
	(void)snprintf(text, text_bytes, "%s: %lld of %lld used; raise it: %s", worst->name, worst->used, worst->value,
		       worst->how);
}
