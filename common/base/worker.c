/* worker: see worker.h. SPDX-License-Identifier: MIT */
#include "common/base/worker.h"

#include "common/base/obj.h"
#include "common/base/thread.h"

static void *run(void *arg)
{
	struct worker *w = arg;

	OBJ_CHECK(w, WORKER_MAGIC);
	w->work(w->arg);
	return NULL;
}

static void fini(struct worker *w)
{
	(void)pthread_cond_destroy(&w->changed);
	lock_fini(&w->lock);
	*w = (struct worker){.thread = NULL};
}

int worker_start(struct worker *w, const char *name, void (*work)(void *arg), void *arg)
{
	int rc;

	*w = (struct worker){.magic = WORKER_MAGIC, .work = work, .arg = arg};
	/* A late rank, so that an owner may wake it while it holds locks of its own. */
	lock_init(&w->lock, LOCK_POOL);
	lock_cond_init(&w->changed);
	if ((rc = thread_spawn(THREAD_SERVICE, name, run, w, &w->thread)) < 0)
		fini(w);
	return rc;
}

bool worker_nap(struct worker *w, int64_t until_ns)
{
	bool stopping;

	OBJ_CHECK(w, WORKER_MAGIC);
	lock_take(&w->lock);
	while (!w->stopping && lock_wait_until(&w->changed, &w->lock, until_ns))
		;
	stopping = w->stopping;
	lock_drop(&w->lock);
	return !stopping;
}

bool worker_wait(struct worker *w, int64_t until_ns)
{
	bool stopping;

	OBJ_CHECK(w, WORKER_MAGIC);
	lock_take(&w->lock);
	while (!w->stopping && !w->woken && lock_wait_until(&w->changed, &w->lock, until_ns))
		;
	w->woken = false;
	stopping = w->stopping;
	lock_drop(&w->lock);
	return !stopping;
}

/* Broadcast: beside the worker there may be others who nap, and go on with that. */
static void change(struct worker *w, bool *what)
{
	OBJ_CHECK(w, WORKER_MAGIC);
	lock_take(&w->lock);
	*what = true;
	lock_drop(&w->lock);
	(void)pthread_cond_broadcast(&w->changed);
}

void worker_wake(struct worker *w)
{
	change(w, &w->woken);
}

void worker_ask_to_stop(struct worker *w)
{
	if (w->thread != NULL)
		change(w, &w->stopping);
}

bool worker_is_stopping(struct worker *w)
{
	bool stopping;

	OBJ_CHECK(w, WORKER_MAGIC);
	lock_take(&w->lock);
	stopping = w->stopping;
	lock_drop(&w->lock);
	return stopping;
}

void worker_stop(struct worker *w)
{
	if (w->thread == NULL)
		return;
	worker_ask_to_stop(w);
	thread_join(&w->thread);
	fini(w);
}
