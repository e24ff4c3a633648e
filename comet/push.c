/* push: see push.h. A job is shared by the threads that it concerns and freed by the last; each thread has a queue of
 * pointers to jobs. A push to one key, or to a user who is kept, that nothing is before is written by the thread that brings it, in the
 * place of the push thread.
 * SPDX-License-Identifier: MIT */
#include "comet/push.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/deliver.h"
#include "comet/feed_source.h"
#include "comet/pacer.h"
#include "comet/push_batch.h"
#include "comet/push_job.h"
#include "comet/push_queue.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"
#include "common/base/park.h"
#include "common/base/thread.h"

/* How long an HTTP call waits for space before it is told no. */
#define ACCEPT_WAIT_NS CLOCK_SEC
/* A push to a user with more keys is left to the push threads: whoever brings it has others to look after. */
#define AT_ONCE_KEYS 16

enum refusal { REFUSED_QUEUE_FULL, REFUSED_NO_MEMORY, REFUSED_STOPPING, REFUSED_MAX };

/* A share of the buckets, which one thread at a time works for: its own, or one that brings a push to a key. */
struct pusher {
	struct push *push;
	struct thread *thread;
	struct push_share share;
	/* under push->lock */
	pthread_cond_t wake;
	bool busy; /* somebody is at work for it */
	struct push_queue queue;
};

struct push {
	unsigned magic;
#define PUSH_MAGIC 0x9a5400aa
	/* set once */
	struct server *server;
	struct pacer *pacer;
	unsigned n;
	/* any thread */
	atomic_uint leading; /* jobs of WIRE_JOIN that are not done: a room may have members who are not in it yet */
	/* under lock; one for all queues, so that a push enters all of them at one place in the order */
	struct lock lock;
	pthread_cond_t space;
	bool stop;
	struct pusher *pushers;
};

static const char *const targets[WIRE_TARGETS] = {
	[WIRE_KEYS] = "keys",   [WIRE_ROOM] = "room", [WIRE_ALL] = "all",     [WIRE_KICK] = "kick",
	[WIRE_CLEAR] = "clear", [WIRE_JOIN] = "join", [WIRE_LEAVE] = "leave",
};

static const char *const refusals[REFUSED_MAX] = {
	[REFUSED_QUEUE_FULL] = "queue_full", [REFUSED_NO_MEMORY] = "no_memory", [REFUSED_STOPPING] = "stopping"};

COUNTER_LABELS(PUSHES, targets, WIRE_TARGETS);
COUNTER_LABELS(PUSHES_REFUSED, refusals, REFUSED_MAX);

/* ---- the threads ---- */

static void add(struct push_batch *batch, struct push_job *job)
{
	batch->jobs[batch->n] = job;
	batch->messages[batch->n] = job->message;
	batch->n++;
}

/* The next job, with those right behind it that go to the same room, or to all. While pushes come more slowly than they are
 * delivered that is one; in a burst, or when the machine cannot follow, each connection then gets many in one write. */
static bool next_batch(struct pusher *w, struct push_batch *batch)
{
	struct push *p = w->push;

	lock_take(&p->lock);
	if (batch->n > 0)
		w->busy = false;
	batch->n = 0;
	while (w->busy || (push_queue_is_empty(&w->queue) && !p->stop))
		lock_wait(&w->wake, &p->lock); /* idle: ends with work, or with push_stop */
	while (!push_queue_is_empty(&w->queue) &&
	       (batch->n == 0 || push_batch_takes(batch, push_queue_next(&w->queue))))
		add(batch, push_queue_take(&w->queue));
	w->busy = batch->n > 0;
	lock_drop(&p->lock);
	count_add(COUNT_QUEUED, -(int64_t)batch->n);
	if (batch->n > 0)
		(void)pthread_cond_broadcast(&p->space);
	return batch->n > 0;
}

static void *work(void *arg)
{
	struct pusher *w = arg;
	struct push_batch batch;

	OBJ_CHECK(w->push, PUSH_MAGIC);
	batch.n = 0;
	while (next_batch(w, &batch)) {
		push_batch_do(w->push->server, &w->share, &batch);
		for (unsigned i = 0; i < batch.n; i++)
			push_job_unref(batch.jobs[i]);
	}
	return NULL;
}

/* ---- acceptance ---- */

/* Does this thread have anything to do for the job? */
static bool concerns(const struct pusher *w, const struct push_job *job)
{
	if (job->target == WIRE_ROOM || job->target == WIRE_ALL || job->target == WIRE_CLEAR)
		return true;
	for (size_t i = 0; i < job->n_keys; i++)
		if (push_share_has(&w->share, job->keys[i].bucket))
			return true;
	return false;
}

static bool has_space_locked(const struct push *p) NEEDS(p->lock)
{
	for (unsigned i = 0; i < p->n; i++)
		if (push_queue_is_full(&p->pushers[i].queue))
			return false;
	return true;
}

/* 0, or -EAGAIN: they have more to do than they can. */
static int wait_for_space_locked(struct push *p, int64_t deadline) NEEDS(p->lock)
{
	int rc = 0;

	lock_drop(&p->lock);
	park_wait_begin();
	lock_take(&p->lock);
	while (!p->stop && !has_space_locked(p) && rc == 0)
		if (!lock_wait_until(&p->space, &p->lock, deadline) && !has_space_locked(p))
			rc = -EAGAIN;
	lock_drop(&p->lock);
	park_wait_end();
	lock_take(&p->lock);
	return rc;
}

/* Nothing is before a push for this share, and nobody works for it: then the caller may. */
static bool is_idle_locked(const struct push *p, const struct pusher *w) NEEDS(p->lock)
{
	return !p->stop && !w->busy && push_queue_is_empty(&w->queue);
}

/* The job, if there is one, is for the thread, before all that came meanwhile. */
static void release(struct pusher *w, struct push_job *job)
{
	struct push *p = w->push;

	lock_take(&p->lock);
	w->busy = false;
	if (job != NULL) {
		push_queue_put_begun(&w->queue, job);
		count(COUNT_QUEUED);
	}
	if (!push_queue_is_empty(&w->queue))
		(void)pthread_cond_signal(&w->wake);
	lock_drop(&p->lock);
}

/* Shares that the caller works for, in the place of their threads. */
struct seized {
	unsigned n;
	struct pusher *all[AT_ONCE_KEYS];
};

/* One to a user who is kept. Its number and its shares are had in one step, so that pushes with higher numbers wait behind it. */
static bool goes_at_once(const struct push_job *job)
{
	return job->target == WIRE_KEYS && job->stream != NULL && !job->message->notice && job->n_keys <= AT_ONCE_KEYS;
}

/* What would have to wait is left to the share's own thread. */
static void work_at_once(struct push *p, const struct seized *mine, struct push_job *job)
{
	for (unsigned i = 0; i < mine->n; i++) {
		bool is_done = push_batch_try(p->server, &mine->all[i]->share, job);

		release(mine->all[i], is_done ? NULL : job);
		if (is_done)
			push_job_unref(job);
	}
}

/* Takes the caller's reference over: it is there until all queues have the job, so that a fast thread does not free it under us. */
static int enqueue(struct push *p, struct push_job *job)
{
	int64_t deadline = clock_now_ns() + ACCEPT_WAIT_NS;
	struct seized mine = {0};
	int rc = 0;

	lock_take(&p->lock);
	while (!p->stop && !has_space_locked(p) && rc == 0)
		rc = wait_for_space_locked(p, deadline);
	if (p->stop)
		rc = -EPIPE;
	if (rc == 0)
		rc = push_job_number(job, p->server);
	for (unsigned i = 0; rc == 0 && i < p->n; i++) {
		struct pusher *w = &p->pushers[i];

		if (!concerns(w, job))
			continue;
		atomic_fetch_add_explicit(&job->refs, 1, memory_order_relaxed);
		if (goes_at_once(job) && is_idle_locked(p, w)) {
			w->busy = true;
			mine.all[mine.n++] = w;
		} else {
			if (push_queue_is_empty(&w->queue) && !w->busy)
				(void)pthread_cond_signal(&w->wake);
			push_queue_put(&w->queue, job);
			count(COUNT_QUEUED);
		}
	}
	lock_drop(&p->lock);
	work_at_once(p, &mine, job);
	push_job_unref(job);
	return rc;
}

/* ---- at once ---- */

/* Nobody is in the room, so that no thread has to wake. Whoever enters now is owed none of this; where pushes have numbers, the
 * history is, and a queue keeps the two in step. */
static bool is_for_nobody(struct push *p, const struct wire_push *push)
{
	struct server *s = p->server;

	return push->target == WIRE_ROOM && push->message->number == 0 && !feeds_keep(&s->feeds, push->room) &&
	       atomic_load(&p->leading) == 0 && tally_here(&s->tallies, push->room) == 0;
}

static bool seize(struct pusher *w)
{
	struct push *p = w->push;
	bool seized;

	lock_take(&p->lock);
	seized = is_idle_locked(p, w);
	w->busy |= seized;
	lock_drop(&p->lock);
	return seized;
}

/* To one key, by the thread that brings it, so that none has to wake. What would have to wait is left to the share's own thread. 0;
 * -ENOMEM; -EBUSY: it is to be queued. */
static int push_at_once(struct push *p, const struct wire_push *push)
{
	unsigned number = server_bucket_number(p->server, push->keys[0]);
	struct pusher *w = &p->pushers[number % p->n];
	struct push_job *job = NULL;
	struct connection *c;
	int rc = 0;

	if (!seize(w))
		return -EBUSY;
	if ((c = bucket_get(&p->server->buckets[number], push->keys[0])) == NULL)
		count_by(COUNT_DROPPED, DROP_GONE);
	else if (!deliver_at_once(p->server, c, push->message) && (job = push_job_new(p->server, push)) == NULL)
		rc = -ENOMEM;
	release(w, job);
	if (c != NULL)
		connection_unref(&c);
	return rc;
}

static int refuse(enum refusal why, int rc)
{
	count_by(COUNT_PUSHES_REFUSED, why);
	return rc;
}

/* A room of which pushes are missing, in a cluster. */
struct hole {
	struct push *push;
	const struct wire_push *before;
};

static int push_missing(void *arg, struct message *m)
{
	const struct hole *hole = arg;
	const struct wire_push missing = {.target = m->notice ? WIRE_CLEAR : hole->before->target,
					  .room = hole->before->room,
					  .stream = hole->before->stream,
					  .message = m};
	struct push_job *job = push_job_new(hole->push->server, &missing);

	return job != NULL ? enqueue(hole->push, job) : -ENOMEM;
}

static int take(struct push *p, const struct wire_push *push)
{
	struct push_job *job;
	int rc;

	if (push->target == WIRE_ALL && push->speed > 0)
		return pacer_add(p->pacer, push->message, push->speed);
	if (is_for_nobody(p, push))
		return 0;
	if (push->target == WIRE_KEYS && push->stream == NULL && push->n_keys == 1 &&
	    (rc = push_at_once(p, push)) != -EBUSY)
		return rc;
	if ((job = push_job_new(p->server, push)) == NULL)
		return -ENOMEM;
	if (push->target == WIRE_JOIN && (rc = push_job_lead(job, p->server, &p->leading)) < 0) {
		push_job_unref(job);
		return rc;
	}
	return enqueue(p, job);
}

/* What is missing before it first. */
static int take_in_order(struct push *p, const struct wire_push *push)
{
	const char *stream = push->stream != NULL ? push->stream : push->room;
	struct hole hole = {p, push};
	int rc = take(p, push);

	if (rc != -ESTALE)
		return rc;
	rc = feed_source_fill(&p->server->feeds, stream, push->message->number, push_missing, &hole);
	return rc < 0 ? rc : take(p, push);
}

int push_accept(void *self, const struct wire_push *push)
{
	struct push *p = self;
	int rc;

	OBJ_CHECK(p, PUSH_MAGIC);
	rc = take_in_order(p, push);
	if (rc == -EALREADY) {
		count(COUNT_PUSH_DUPLICATES);
		return 0;
	}
	if (rc == -ESTALE)
		return -EAGAIN; /* what is missing is known now */
	if (rc == 0)
		count_by(COUNT_PUSHES, push->target);
	else if (rc == -ENOMEM)
		return refuse(REFUSED_NO_MEMORY, rc);
	else if (rc == -EPIPE)
		return refuse(REFUSED_STOPPING, -EAGAIN);
	else
		return refuse(REFUSED_QUEUE_FULL, -EAGAIN);
	return 0;
}

/* ---- start and stop ---- */

static int pusher_start(struct push *p, const struct push_share *share, unsigned queue_max)
{
	struct pusher *w = &p->pushers[share->index];

	w->push = p;
	w->share = *share;
	lock_cond_init(&w->wake);
	if (push_queue_init(&w->queue, queue_max) < 0)
		return -ENOMEM;
	return thread_spawn(THREAD_SERVICE, "push", work, w, &w->thread);
}

static void pusher_stop(struct pusher *w)
{
	if (w->thread != NULL) {
		(void)pthread_cond_signal(&w->wake);
		thread_join(&w->thread);
	}
	push_queue_fini(&w->queue);
	(void)pthread_cond_destroy(&w->wake);
}

int push_start(struct server *s, unsigned n, unsigned queue_max, struct push **out)
{
	struct push *p = calloc(1, sizeof(*p));
	int rc = 0;

	BUG_UNLESS(n > 0);
	if (p == NULL)
		return -ENOMEM;
	p->magic = PUSH_MAGIC;
	p->server = s;
	lock_init(&p->lock, LOCK_BUS);
	lock_cond_init(&p->space);
	/* More threads than buckets would have nothing to do. */
	if (n > s->n_buckets)
		n = s->n_buckets;
	p->pushers = calloc(n, sizeof(*p->pushers));
	if (p->pushers == NULL)
		rc = -ENOMEM;
	else
		rc = pacer_start(s, &p->pacer);
	for (unsigned i = 0; rc == 0 && i < n; i++) {
		p->n++; /* also if it fails: pusher_stop undoes a half start */
		rc = pusher_start(p, &(struct push_share){i, n}, queue_max);
	}
	if (rc < 0) {
		push_stop(&p);
		return rc;
	}
	*out = p;
	return 0;
}

void push_stop(struct push **push)
{
	struct push *p = *push;

	OBJ_CHECK(p, PUSH_MAGIC);
	lock_take(&p->lock);
	p->stop = true;
	lock_drop(&p->lock);
	if (p->pacer != NULL)
		pacer_stop(&p->pacer);
	for (unsigned i = 0; i < p->n; i++)
		pusher_stop(&p->pushers[i]);
	free(p->pushers);
	(void)pthread_cond_destroy(&p->space);
	lock_fini(&p->lock);
	p->magic = 0;
	free(p);
	*push = NULL;
}
