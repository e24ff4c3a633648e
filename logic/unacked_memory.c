/* unacked_memory: see unacked_memory.h. What waits is a heap, the one that is due next on top. SPDX-License-Identifier: MIT */
#include "logic/unacked_memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/obj.h"
#include "common/base/worker.h"
#include "common/config/event_kinds.h"
#include "logic/histories.h"
#include "logic/tidings.h"

#define LOOK_NS    CLOCK_SEC
#define FIRST_HEAP 64

struct awaited {
	int64_t due_ns;
	uint64_t number;
	char *user; /* its string */
};

struct unacked {
	unsigned magic;
#define UNACKED_MAGIC 0x04acced0
	/* set once */
	const struct histories *histories;
	const struct tidings *tidings;
	size_t most;
	struct worker worker;
	/* under lock */
	struct lock lock;
	struct awaited *heap;
	size_t n, space;
};

/* ---- the heap ---- */

static void swap(struct awaited *a, struct awaited *b)
{
	struct awaited kept = *a;

	*a = *b;
	*b = kept;
}

static void rise_locked(struct unacked *u, size_t i) NEEDS(u->lock)
{
	for (; i > 0 && u->heap[i].due_ns < u->heap[(i - 1) / 2].due_ns; i = (i - 1) / 2)
		swap(&u->heap[i], &u->heap[(i - 1) / 2]);
}

static void sink_locked(struct unacked *u, size_t i) NEEDS(u->lock)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < u->n && u->heap[child + 1].due_ns < u->heap[child].due_ns)
			child++;
		if (child >= u->n || u->heap[i].due_ns <= u->heap[child].due_ns)
			return;
		swap(&u->heap[i], &u->heap[child]);
		i = child;
	}
}

static struct awaited take_next_locked(struct unacked *u) NEEDS(u->lock)
{
	struct awaited next = u->heap[0];

	u->heap[0] = u->heap[--u->n];
	sink_locked(u, 0);
	return next;
}

static int make_space_locked(struct unacked *u) NEEDS(u->lock)
{
	size_t space = u->space > 0 ? 2 * u->space : FIRST_HEAP;
	struct awaited *heap;

	if (u->n < u->space)
		return 0;
	if ((heap = realloc(u->heap, space * sizeof(*heap))) == NULL)
		return -ENOMEM;
	u->heap = heap;
	u->space = space;
	return 0;
}

/* ---- telling ---- */

/* Where it is not known what was confirmed, for want of memory, nothing was. */
static bool is_confirmed(const struct unacked *u, const struct awaited *a)
{
	char name[USER_STREAM_BYTES];
	struct user user;
	struct acks acks;
	bool is;

	if (!user_read(a->user, strlen(a->user), &user) ||
	    u->histories->confirmed(u->histories->self, user_stream(&user, name), &acks) < 0)
		return false;
	is = acks_get(&acks, NULL) >= a->number;
	acks_fini(&acks);
	return is;
}

static void tell_unless_confirmed(const struct unacked *u, const struct awaited *a)
{
	if (!is_confirmed(u, a))
		tidings_memory_tell(u->tidings,
				    &(struct tiding){.kind = "unacked", .user = a->user, .number = a->number});
}

/* False: *next has nothing. */
static bool take_due(struct unacked *u, int64_t now, struct awaited *next)
{
	bool is_due;

	lock_take(&u->lock);
	is_due = u->n > 0 && u->heap[0].due_ns <= now;
	if (is_due)
		*next = take_next_locked(u);
	lock_drop(&u->lock);
	return is_due;
}

void unacked_look(struct unacked *u)
{
	const int64_t now = clock_now_ns();
	struct awaited next;

	OBJ_CHECK(u, UNACKED_MAGIC);
	while (take_due(u, now, &next)) {
		tell_unless_confirmed(u, &next);
		free(next.user);
	}
}

/* True: it waits. *too_many: this one does not any more, in its place. */
static bool put(struct unacked *u, const struct awaited *a, struct awaited *too_many)
{
	bool waits;

	lock_take(&u->lock);
	if (u->n == u->most)
		*too_many = take_next_locked(u);
	waits = make_space_locked(u) == 0;
	if (waits) {
		u->heap[u->n++] = *a;
		rise_locked(u, u->n - 1);
	}
	lock_drop(&u->lock);
	return waits;
}

void unacked_await(struct unacked *u, const struct user *user, uint64_t number, int64_t confirm_ms)
{
	char text[USER_BYTES];
	struct awaited too_many = {0}, one = {.due_ns = clock_now_ns() + confirm_ms * CLOCK_MS, .number = number};
	const char *name = user_text(user, text);

	OBJ_CHECK(u, UNACKED_MAGIC);
	one.user = strdup(name);
	if (one.user == NULL || !put(u, &one, &too_many)) {
		free(one.user);
		one.user = (char *)(uintptr_t)name;
		tell_unless_confirmed(u, &one);
	}
	if (too_many.user != NULL)
		tell_unless_confirmed(u, &too_many);
	free(too_many.user);
}

/* ---- start and end ---- */

static void run(void *arg)
{
	struct unacked *u = arg;

	OBJ_CHECK(u, UNACKED_MAGIC);
	while (worker_nap(&u->worker, clock_now_ns() + LOOK_NS))
		unacked_look(u);
}

int unacked_new(const struct config *cfg, const struct histories *histories, const struct tidings *tidings,
		struct unacked **out)
{
	struct unacked *u;

	*out = NULL;
	if (!event_kinds_name(cfg, "unacked"))
		return 0;
	if ((u = calloc(1, sizeof(*u))) == NULL)
		return -ENOMEM;
	u->magic = UNACKED_MAGIC;
	u->histories = histories;
	u->tidings = tidings;
	u->most = (size_t)cfg->events_length;
	lock_init(&u->lock, LOCK_POOL);
	*out = u;
	return 0;
}

int unacked_start(struct unacked *u)
{
	return u != NULL ? worker_start(&u->worker, "unacked", run, u) : 0;
}

void unacked_free(struct unacked **unacked)
{
	struct unacked *u = *unacked;

	if (u == NULL)
		return;
	OBJ_CHECK(u, UNACKED_MAGIC);
	worker_stop(&u->worker);
	for (size_t i = 0; i < u->n; i++)
		free(u->heap[i].user);
	free(u->heap);
	lock_fini(&u->lock);
	u->magic = 0;
	free(u);
	*unacked = NULL;
}
