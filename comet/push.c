/* push: see push.h. A job is shared by the threads that it concerns and freed by the last; each thread has a queue of
 * pointers to jobs. SPDX-License-Identifier: MIT */
#include "comet/push.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/deliver.h"
#include "comet/pacer.h"
#include "comet/push_job.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"
#include "common/base/park.h"
#include "common/base/thread.h"

/* How long an HTTP call waits for space before it is told no. */
#define ACCEPT_WAIT_NS CLOCK_SEC
/* A thread's queue is full with so much in it, too: by number alone, 4,096 pushes of the longest body would be 4 GB. */
#define QUEUE_BYTES_MAX (64u << 20)

enum refusal { REFUSED_QUEUE_FULL, REFUSED_NO_MEMORY, REFUSED_STOPPING, REFUSED_MAX };

/* Jobs that are done together: as many as fit into one haul. */
#define BATCH_MAX HAUL_MESSAGES

struct batch {
	struct push_job *jobs[BATCH_MAX];
	struct message *messages[BATCH_MAX]; /* borrowed from the jobs */
	unsigned n;
};

struct pusher {
	struct push *push;
	struct thread *thread;
	unsigned index;
	/* under push->lock */
	pthread_cond_t wake;
	struct push_job **queue;
	unsigned head, count;
	size_t bytes; /* of the jobs in the queue */
};

struct push {
	unsigned magic;
#define PUSH_MAGIC 0x9a5400aa
	/* set once */
	struct server *server;
	struct pacer *pacer;
	unsigned n;
	unsigned queue_max;
	/* under lock; one for all queues, so that a push enters all of them at one place in the order */
	struct lock lock;
	pthread_cond_t space;
	bool stop;
	struct pusher *pushers;
};

static const char *const targets[WIRE_TARGETS] = {
	[WIRE_KEYS] = "keys", [WIRE_ROOM] = "room", [WIRE_ALL] = "all", [WIRE_KICK] = "kick", [WIRE_CLEAR] = "clear"};

static const char *const refusals[REFUSED_MAX] = {
	[REFUSED_QUEUE_FULL] = "queue_full", [REFUSED_NO_MEMORY] = "no_memory", [REFUSED_STOPPING] = "stopping"};

COUNTER_LABELS(PUSHES, targets, WIRE_TARGETS);
COUNTER_LABELS(PUSHES_REFUSED, refusals, REFUSED_MAX);

/* ---- delivery ---- */

static void kick(struct connection *c, const struct push_job *job, uint64_t session_id)
{
	/* Only that registration, or one that it has replaced. */
	if (session_id != 0 && c->seat.session_id > session_id)
		return;
	if (job->why == CLOSE_REPLACED)
		connection_replaced(c);
	else
		(void)connection_shutdown(c, job->why);
}

static bool is_mine(const struct pusher *w, unsigned bucket)
{
	return bucket % w->push->n == w->index;
}

static void do_keys(struct pusher *w, const struct push_job *job)
{
	struct server *s = w->push->server;

	for (size_t i = 0; i < job->n_keys; i++) {
		const struct push_job_key *k = &job->keys[i];
		struct connection *c;

		if (!is_mine(w, k->bucket))
			continue;
		c = bucket_get(&s->buckets[k->bucket], k->key);
		if (c == NULL) {
			if (job->target == WIRE_KEYS)
				count_by(COUNT_DROPPED, DROP_GONE);
			continue;
		}
		if (job->target == WIRE_KICK)
			kick(c, job, k->session_id);
		else
			deliver(s, c, job->message, true);
		connection_unref(&c);
	}
}

static void say_no_memory(unsigned n)
{
	static struct log_limit limit = LOG_LIMIT(1);

	count_by_add(COUNT_DROPPED, DROP_NO_MEMORY, n);
	LOG_LIMITED(LOG_ERROR, &limit, log_what(EVENT_PUSH_WITHOUT_MEMORY));
}

static void do_room(struct pusher *w, const struct batch *batch)
{
	struct server *s = w->push->server;

	for (unsigned i = w->index; i < s->n_buckets; i += w->push->n) {
		struct room *room = bucket_room(&s->buckets[i], batch->jobs[0]->room);
		struct members members;

		if (room == NULL)
			continue;
		if (room_members(room, &members) < 0)
			say_no_memory(batch->n);
		room_unref(&room);
		deliver_to_members(s, &members, batch->messages, batch->n);
	}
}

static void do_all(struct pusher *w, const struct batch *batch)
{
	struct server *s = w->push->server;

	for (unsigned i = w->index; i < s->n_buckets; i += w->push->n) {
		struct connections all = {0};

		if (bucket_all(&s->buckets[i], &all) < 0)
			say_no_memory(batch->n);
		deliver_to_all(s, &all, batch->messages, batch->n);
	}
}

static void do_batch(struct pusher *w, const struct batch *batch)
{
	switch (batch->jobs[0]->target) {
	case WIRE_KEYS:
	case WIRE_KICK:
		do_keys(w, batch->jobs[0]);
		break;
	case WIRE_ROOM:
	case WIRE_CLEAR:
		do_room(w, batch);
		break;
	default:
		do_all(w, batch);
		break;
	}
}

/* May the job that comes next share the writes of those before it? */
static bool goes_along(const struct batch *batch, const struct push_job *job)
{
	const struct push_job *first = batch->jobs[0];

	if (batch->n == BATCH_MAX || first->target != job->target)
		return false;
	return job->target == WIRE_ALL || (job->target == WIRE_ROOM && strcmp(first->room, job->room) == 0);
}

/* The next job, with those right behind it that go to the same room, or to all. While pushes come more slowly than they are
 * delivered that is one; in a burst, or when the machine cannot follow, each connection then gets many in one write. */
static bool next_batch(struct pusher *w, struct batch *batch)
{
	struct push *p = w->push;

	batch->n = 0;
	lock_take(&p->lock);
	while (w->count == 0 && !p->stop)
		lock_wait(&w->wake, &p->lock); /* idle: ends with work, or with push_stop */
	while (w->count > 0 && (batch->n == 0 || goes_along(batch, w->queue[w->head]))) {
		batch->jobs[batch->n] = w->queue[w->head];
		batch->messages[batch->n] = w->queue[w->head]->message;
		w->bytes -= w->queue[w->head]->bytes;
		batch->n++;
		w->head = (w->head + 1) % p->queue_max;
		w->count--;
	}
	lock_drop(&p->lock);
	count_add(COUNT_QUEUED, -(int64_t)batch->n);
	if (batch->n > 0)
		(void)pthread_cond_broadcast(&p->space);
	return batch->n > 0;
}

static void *work(void *arg)
{
	struct pusher *w = arg;
	struct batch batch;

	OBJ_CHECK(w->push, PUSH_MAGIC);
	while (next_batch(w, &batch)) {
		do_batch(w, &batch);
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
		if (is_mine(w, job->keys[i].bucket))
			return true;
	return false;
}

static bool has_space_locked(const struct push *p) NEEDS(p->lock)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->pushers[i].count == p->queue_max || p->pushers[i].bytes >= QUEUE_BYTES_MAX)
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

/* In the history before a thread has it: see feed.h. */
static int number(struct feeds *feeds, struct push_job *job)
{
	if (job->target == WIRE_CLEAR)
		feed_jump(feeds, job->room, &job->message->number);
	return job->is_kept ? feed_append(feeds, job->room, job->message) : 0;
}

static int enqueue(struct push *p, struct push_job *job)
{
	int64_t deadline = clock_now_ns() + ACCEPT_WAIT_NS;
	int rc = 0;

	/* One reference is ours until all queues have it, so that a fast thread does not free it under us. */
	atomic_init(&job->refs, 1);
	lock_take(&p->lock);
	while (!p->stop && !has_space_locked(p) && rc == 0)
		rc = wait_for_space_locked(p, deadline);
	if (p->stop)
		rc = -EPIPE;
	if (rc == 0)
		rc = number(&p->server->feeds, job);
	for (unsigned i = 0; rc == 0 && i < p->n; i++) {
		struct pusher *w = &p->pushers[i];

		if (!concerns(w, job))
			continue;
		atomic_fetch_add_explicit(&job->refs, 1, memory_order_relaxed);
		w->queue[(w->head + w->count) % p->queue_max] = job;
		w->bytes += job->bytes;
		if (w->count++ == 0)
			(void)pthread_cond_signal(&w->wake);
		count(COUNT_QUEUED);
	}
	lock_drop(&p->lock);
	push_job_unref(job);
	return rc;
}

static int refuse(enum refusal why, int rc)
{
	count_by(COUNT_PUSHES_REFUSED, why);
	return rc;
}

int push_accept(void *self, const struct wire_push *push)
{
	struct push *p = self;
	struct push_job *job;
	int rc;

	OBJ_CHECK(p, PUSH_MAGIC);
	if (push->target == WIRE_ALL && push->speed > 0)
		rc = pacer_add(p->pacer, push->message, push->speed);
	else if ((job = push_job_new(p->server, push)) == NULL)
		rc = -ENOMEM;
	else
		rc = enqueue(p, job);
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

static int pusher_start(struct push *p, unsigned i)
{
	struct pusher *w = &p->pushers[i];

	w->push = p;
	w->index = i;
	lock_cond_init(&w->wake);
	w->queue = calloc(p->queue_max, sizeof(*w->queue));
	if (w->queue == NULL)
		return -ENOMEM;
	return thread_spawn(THREAD_SERVICE, "push", work, w, &w->thread);
}

static void pusher_stop(struct pusher *w)
{
	if (w->thread != NULL) {
		(void)pthread_cond_signal(&w->wake);
		thread_join(&w->thread);
	}
	free(w->queue);
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
	p->queue_max = queue_max;
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
	/* The threads share out the buckets by this number from their first job on; none comes before push_start returns. */
	for (unsigned i = 0; rc == 0 && i < n; i++) {
		p->n++; /* also if it fails: pusher_stop undoes a half start */
		rc = pusher_start(p, i);
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
