/* pacer: see pacer.h. A paced push holds no connection while it waits, only the keys of one bucket: a connection that has
 * gone must be able to close its descriptor. SPDX-License-Identifier: MIT */
#include "comet/pacer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/deliver.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"
#include "common/base/worker.h"

#define PACED_MAX 64
/* Deliveries that are due within one tick go together. */
#define TICK_NS (10 * CLOCK_MS)

struct paced {
	struct paced *next;
	struct message *message;
	uint32_t speed;
	int64_t start_ns;
	uint64_t delivered; /* or tried: what the pace counts */
	unsigned bucket;    /* the next one to list */
	char **keys;        /* of the bucket before it, still to do: [at, n) */
	size_t at, n;
};

struct pacer {
	unsigned magic;
#define PACER_MAGIC 0x9ace4000
	struct server *server;
	struct worker worker;
	/* under lock; the list is changed by the worker, and by pacer_add at its head */
	struct lock lock;
	struct paced *running;
	unsigned n_running;
};

static void drop_keys(struct paced *job)
{
	for (; job->at < job->n; job->at++)
		free(job->keys[job->at]);
	free(job->keys);
	job->keys = NULL;
	job->at = 0;
	job->n = 0;
}

static void paced_free(struct paced *job)
{
	count_by_add(COUNT_DROPPED, DROP_CLOSED, (int64_t)(job->n - job->at));
	drop_keys(job);
	message_unref(&job->message);
	free(job);
}

/* The keys of the next bucket. Without memory for a key that connection is left out, and counted; without memory to list
 * anybody nobody knows how many those are, and one is counted, so that it shows. */
static void list_bucket(struct pacer *p, struct paced *job)
{
	struct connections all = {0};

	drop_keys(job);
	if (bucket_all(&p->server->buckets[job->bucket++], &all) < 0 ||
	    (all.n > 0 && (job->keys = calloc(all.n, sizeof(*job->keys))) == NULL))
		count_by_add(COUNT_DROPPED, DROP_NO_MEMORY, all.n > 0 ? (int64_t)all.n : 1);
	for (size_t i = 0; job->keys != NULL && i < all.n; i++) {
		if ((job->keys[job->n] = strdup(all.all[i]->seat.key)) != NULL)
			job->n++;
		else
			count_by(COUNT_DROPPED, DROP_NO_MEMORY);
	}
	connections_drop(&all);
}

static void deliver_next(struct pacer *p, struct paced *job)
{
	char *key = job->keys[job->at++];
	struct connection *c = bucket_get(server_bucket(p->server, key), key);

	free(key);
	job->delivered++;
	if (c == NULL) {
		count_by(COUNT_DROPPED, DROP_GONE);
		return;
	}
	deliver(p->server, c, job->message, true);
	connection_unref(&c);
}

/* Deliver all that is due. Returns when the next is, or 0 when the job is done. */
static int64_t advance(struct pacer *p, struct paced *job, int64_t now)
{
	for (;;) {
		int64_t due = job->start_ns + (int64_t)((double)job->delivered * (double)CLOCK_SEC / job->speed);

		while (job->at == job->n && job->bucket < p->server->n_buckets)
			list_bucket(p, job);
		if (job->at == job->n)
			return 0;
		if (due > now)
			return due > now + TICK_NS ? due : now + TICK_NS;
		deliver_next(p, job);
	}
}

/* One turn over all running jobs; returns when the next turn is due. The lock is dropped for each. */
static int64_t turn_locked(struct pacer *p) NEEDS(p->lock)
{
	int64_t next = WORKER_IDLE;

	for (struct paced **at = &p->running; *at != NULL && !worker_is_stopping(&p->worker);) {
		struct paced *job = *at;
		int64_t due;

		lock_drop(&p->lock);
		due = advance(p, job, clock_now_ns());
		lock_take(&p->lock);
		if (due > 0) {
			next = due < next ? due : next;
			at = &job->next;
			continue;
		}
		/* pacer_add may have put others before it. */
		for (at = &p->running; *at != job;)
			at = &(*at)->next;
		*at = job->next;
		p->n_running--;
		paced_free(job);
	}
	return next;
}

static void pace(void *arg)
{
	struct pacer *p = arg;
	int64_t next;

	OBJ_CHECK(p, PACER_MAGIC);
	do {
		lock_take(&p->lock);
		next = turn_locked(p);
		lock_drop(&p->lock);
	} while (worker_wait(&p->worker, next));
}

int pacer_add(struct pacer *p, struct message *message, uint32_t speed)
{
	struct paced *job;
	int rc = 0;

	OBJ_CHECK(p, PACER_MAGIC);
	if ((job = calloc(1, sizeof(*job))) == NULL)
		return -ENOMEM;
	job->message = message_ref(message);
	job->speed = speed;
	job->start_ns = clock_now_ns();
	lock_take(&p->lock);
	if (worker_is_stopping(&p->worker)) {
		rc = -EPIPE;
	} else if (p->n_running == PACED_MAX) {
		rc = -EAGAIN;
	} else {
		job->next = p->running;
		p->running = job;
		p->n_running++;
	}
	lock_drop(&p->lock);
	if (rc == 0)
		worker_wake(&p->worker);
	else
		paced_free(job);
	return rc;
}

int pacer_start(struct server *s, struct pacer **out)
{
	struct pacer *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return -ENOMEM;
	p->magic = PACER_MAGIC;
	p->server = s;
	lock_init(&p->lock, LOCK_BUS);
	if ((rc = worker_start(&p->worker, "pacer", pace, p)) < 0) {
		lock_fini(&p->lock);
		free(p);
		return rc;
	}
	*out = p;
	return 0;
}

void pacer_stop(struct pacer **pacer)
{
	struct pacer *p = *pacer;

	OBJ_CHECK(p, PACER_MAGIC);
	worker_stop(&p->worker);
	while (p->running != NULL) {
		struct paced *job = p->running;
		p->running = job->next;
		paced_free(job);
	}
	lock_fini(&p->lock);
	p->magic = 0;
	free(p);
	*pacer = NULL;
}
