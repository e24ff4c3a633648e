/* crew: see crew.h. SPDX-License-Identifier: MIT */
#include "common/base/crew.h"

#include <stddef.h>

#include "common/base/clock.h"

/* Threads beyond those that may be awake came in the place of some that blocked: so long they wait for the next such time. */
#define SPARE_NS (2 * CLOCK_SEC)

/* It lies on that thread's stack. */
struct resting {
	pthread_cond_t called;
	bool is_called;
	struct resting *next;
};

void crew_init(struct crew *crew, const struct crew_options *opt)
{
	*crew = (struct crew){.opt = *opt};
	lock_init(&crew->lock, LOCK_POOL);
	lock_cond_init(&crew->left);
}

void crew_fini(struct crew *crew)
{
	(void)pthread_cond_destroy(&crew->left);
	lock_fini(&crew->lock);
}

/* ---- on one of its threads ---- */

static bool is_too_many_locked(const struct crew *crew) NEEDS(crew->lock)
{
	return crew->threads - crew->blocked > crew->opt.awake_max;
}

static void wait_for_call_locked(struct crew *crew, struct resting *mine) NEEDS(crew->lock)
{
	int64_t until_ns = clock_now_ns() + SPARE_NS;
	bool is_late = false;

	/* When it is late, others may have left, so that this one is no longer too many. */
	while (!mine->is_called && !crew->stopping)
		if (!is_too_many_locked(crew))
			lock_wait(&mine->called, &crew->lock);
		else if (is_late)
			break;
		else
			is_late = !lock_wait_until(&mine->called, &crew->lock, until_ns);
}

bool crew_rest_locked(struct crew *crew)
{
	struct resting mine = {.next = crew->resting}, **at = &crew->resting;

	lock_cond_init(&mine.called);
	crew->awake--;
	crew->resting = &mine; /* cppcheck-suppress autoVariables ; it is taken out before this returns */
	wait_for_call_locked(crew, &mine);
	if (!mine.is_called) {
		while (*at != &mine)
			at = &(*at)->next;
		*at = mine.next;
	}
	(void)pthread_cond_destroy(&mine.called);
	return mine.is_called;
}

void crew_leave_locked(struct crew *crew)
{
	if (--crew->threads == 0)
		(void)pthread_cond_signal(&crew->left);
}

void crew_block_locked(struct crew *crew)
{
	crew->blocked++;
	crew->awake--;
}

void crew_unblock_locked(struct crew *crew)
{
	crew->blocked--;
	crew->awake++;
}

/* ---- any thread ---- */

bool crew_call_locked(struct crew *crew)
{
	struct resting *r = crew->resting;

	if (r == NULL || crew->awake >= crew->opt.awake_max)
		return false;
	crew->awake++;
	crew->resting = r->next;
	r->is_called = true;
	(void)pthread_cond_signal(&r->called); /* under the lock: it lies on a stack that ends */
	return true;
}

bool crew_replace_locked(struct crew *crew)
{
	if (crew->watched || crew->awake >= crew->opt.awake_max || crew_call_locked(crew))
		return false;
	crew->awake++;
	crew->threads++;
	return true;
}

int crew_add(struct crew *crew)
{
	int rc = thread_spawn_unjoined(crew->opt.kind, crew->opt.name, crew->opt.work, crew->opt.arg);

	if (rc == 0)
		return 0;
	lock_take(&crew->lock);
	crew->awake--;
	crew->threads--;
	lock_drop(&crew->lock);
	return rc;
}

int crew_start(struct crew *crew)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < crew->opt.awake_max; i++) {
		lock_take(&crew->lock);
		crew->awake++;
		crew->threads++;
		lock_drop(&crew->lock);
		rc = crew_add(crew);
	}
	return rc;
}

void crew_stop_locked(struct crew *crew)
{
	crew->stopping = true;
	for (struct resting *r = crew->resting; r != NULL; r = r->next)
		(void)pthread_cond_signal(&r->called);
	while (crew->threads > 0)
		lock_wait(&crew->left, &crew->lock);
}
