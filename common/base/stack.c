/* stack: see stack.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/base/stack.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/base/counters.h"
#include "common/base/lock.h"
#include "common/base/obj.h"

#define SLAB_STACKS 64
#define SLICE_BYTES (STACK_GUARD_BYTES + (size_t)STACK_BYTES)
#define SLAB_BYTES  (SLAB_STACKS * SLICE_BYTES)
/* Free stacks that keep their pages: 2 to 4 MiB, and enough for 128 connections that come as others go. */
#define HOT_MAX 256

/* linux/mman.h of 6.13 and later: the pages fault without a mapping of their own. */
#define ADVICE_GUARD_INSTALL 102

struct slab {
	struct slab *next;
	char *base;
	struct stack stacks[SLAB_STACKS];
};

static struct {
	struct lock lock;
	struct slab *slabs;
	struct stack *hot; /* free, as their threads left them; taken first */
	unsigned n_hot;
	struct stack *cold; /* free, without pages */
	unsigned n_used;
} pool = {.lock = LOCK_STATIC(LOCK_POOL)};

static void push(struct stack **list, struct stack *s)
{
	s->next = *list;
	*list = s;
}

static struct stack *pop(struct stack **list)
{
	struct stack *s = *list;

	if (s != NULL)
		*list = s->next;
	return s;
}

/* A write below a stack must fault. Without MADV_GUARD_INSTALL a guard is a mapping, and vm.max_map_count bounds those: a
 * stack without a guard is then better than no connection. */
static void guard(char *page)
{
	if (madvise(page, STACK_GUARD_BYTES, ADVICE_GUARD_INSTALL) < 0 &&
	    mprotect(page, STACK_GUARD_BYTES, PROT_NONE) < 0)
		count(COUNT_STACKS_UNGUARDED);
}

bool stack_guard_is_map(void)
{
	void *page = mmap(NULL, STACK_GUARD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool is_map;

	if (page == MAP_FAILED)
		return true;
	is_map = madvise(page, STACK_GUARD_BYTES, ADVICE_GUARD_INSTALL) < 0;
	(void)munmap(page, STACK_GUARD_BYTES);
	return is_map;
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
	for (unsigned i = 0; i < SLAB_STACKS; i++) {
		guard(slab->base + i * SLICE_BYTES);
		slab->stacks[i].base = slab->base + i * SLICE_BYTES + STACK_GUARD_BYTES;
	}
	return slab;
}

/* The first is for the caller, the others for those who come next. */
static struct stack *first_of_new_slab(void)
{
	struct slab *slab = slab_new();

	if (slab == NULL)
		return NULL;
	lock_take(&pool.lock);
	slab->next = pool.slabs;
	pool.slabs = slab;
	for (unsigned i = SLAB_STACKS - 1; i > 0; i--)
		push(&pool.cold, &slab->stacks[i]);
	pool.n_used++;
	lock_drop(&pool.lock);
	return &slab->stacks[0];
}

struct stack *stack_get(void)
{
	struct stack *s;

	lock_take(&pool.lock);
	if ((s = pop(&pool.hot)) != NULL)
		pool.n_hot--;
	else
		s = pop(&pool.cold);
	if (s != NULL)
		pool.n_used++;
	lock_drop(&pool.lock);
	return s != NULL ? s : first_of_new_slab();
}

static bool put_hot(struct stack *s)
{
	bool is_hot;

	lock_take(&pool.lock);
	is_hot = pool.n_hot < HOT_MAX;
	if (is_hot) {
		push(&pool.hot, s);
		pool.n_hot++;
		pool.n_used--;
	}
	lock_drop(&pool.lock);
	return is_hot;
}

void stack_put(struct stack *s)
{
	if (put_hot(s))
		return;
	/* With no lock held: it takes the kernel a while. Should it fail, only memory is lost until the next use. */
	(void)madvise(s->base, STACK_BYTES, MADV_DONTNEED);
	lock_take(&pool.lock);
	push(&pool.cold, s);
	pool.n_used--;
	lock_drop(&pool.lock);
}

void stack_fini(void)
{
	struct slab *slab, *next;

	lock_take(&pool.lock);
	BUG_UNLESS(pool.n_used == 0);
	slab = pool.slabs;
	pool.slabs = NULL;
	pool.hot = pool.cold = NULL;
	pool.n_hot = 0;
	lock_drop(&pool.lock);
	for (; slab != NULL; slab = next) {
		next = slab->next;
		(void)munmap(slab->base, SLAB_BYTES);
		free(slab);
	}
}
