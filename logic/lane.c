/* lane: see lane.h. A ring under one lock. Comet's push has a queue for each thread and one order over all of them, and
 * redis_tell a list of a million that takes failed items back: neither is a lane. SPDX-License-Identifier: MIT */
#include "logic/lane.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/thread.h"

/* Senders are counted by their hash. Two of them seldom share a number, and then they share what one may have. */
#define SENDERS 1024

struct lane {
	unsigned magic;
#define LANE_MAGIC 0x1a4e0000
	/* set once */
	struct lane_options opt;
	struct thread **threads;
	unsigned n_threads;
	/* under lock */
	struct lock lock;
	pthread_cond_t work;
	struct lane_item *ring;
	size_t head, count, bytes;
	unsigned waiting_of[SENDERS], under_way_of[SENDERS];
	bool no_more; /* nothing is put in any more: threads leave once it is empty */
};

static unsigned sender_of(const struct lane_item *item)
{
	return (unsigned)(item->sender % SENDERS);
}

static struct lane_item *item_at(const struct lane *l, size_t i)
{
	return &l->ring[(l->head + i) % l->opt.items_max];
}

bool lane_put(struct lane *l, const struct lane_item *item)
{
	bool taken;

	OBJ_CHECK(l, LANE_MAGIC);
	lock_take(&l->lock);
	taken = l->count < l->opt.items_max && l->bytes < l->opt.bytes_max;
	if (taken) {
		*item_at(l, l->count) = *item;
		l->count++;
		l->waiting_of[sender_of(item)]++;
		l->bytes += item->bytes;
	}
	lock_drop(&l->lock);
	if (taken)
		(void)pthread_cond_signal(&l->work);
	return taken;
}

/* Which one is next: the first whose sender has not its part of the threads yet; where all have, the first. */
static size_t next_locked(const struct lane *l) NEEDS(l->lock)
{
	unsigned most = l->opt.threads_of_one;

	if (most == 0 || l->waiting_of[sender_of(item_at(l, 0))] == l->count)
		return 0;
	for (size_t i = 0; i < l->count; i++)
		if (l->under_way_of[sender_of(item_at(l, i))] < most)
			return i;
	return 0;
}

static void take_out_locked(struct lane *l, size_t at, struct lane_item *item) NEEDS(l->lock)
{
	*item = *item_at(l, at);
	for (; at > 0; at--)
		*item_at(l, at) = *item_at(l, at - 1);
	l->head = (l->head + 1) % l->opt.items_max;
	l->count--;
	l->bytes -= item->bytes;
	l->waiting_of[sender_of(item)]--;
	if (l->opt.threads_of_one > 0)
		l->under_way_of[sender_of(item)]++; /* until is_done */
}

/* False: no more. */
static bool take(struct lane *l, struct lane_item *item)
{
	bool any;

	lock_take(&l->lock);
	/* lane_stop ends this wait at the latest. */
	while (l->count == 0 && !l->no_more)
		lock_wait(&l->work, &l->lock);
	any = l->count > 0;
	if (any)
		take_out_locked(l, next_locked(l), item);
	lock_drop(&l->lock);
	return any;
}

static void is_done(struct lane *l, const struct lane_item *item)
{
	lock_take(&l->lock);
	l->under_way_of[sender_of(item)]--;
	lock_drop(&l->lock);
}

static void *work(void *arg)
{
	struct lane *l = arg;
	struct lane_item item;

	OBJ_CHECK(l, LANE_MAGIC);
	while (take(l, &item)) {
		l->opt.work(l->opt.self, &item);
		if (l->opt.threads_of_one > 0)
			is_done(l, &item);
	}
	return NULL;
}

/* ---- start and stop ---- */

static int start_threads(struct lane *l)
{
	int rc;

	l->ring = calloc(l->opt.items_max, sizeof(*l->ring));
	l->threads = calloc(l->opt.threads, sizeof(*l->threads));
	if (l->ring == NULL || l->threads == NULL)
		return -ENOMEM;
	for (; l->n_threads < l->opt.threads; l->n_threads++)
		if ((rc = thread_spawn(THREAD_SERVICE, "answer", work, l, &l->threads[l->n_threads])) < 0)
			return rc;
	return 0;
}

int lane_start(const struct lane_options *opt, struct lane **out)
{
	struct lane *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	l->magic = LANE_MAGIC;
	l->opt = *opt;
	lock_init(&l->lock, LOCK_SERVICE);
	lock_cond_init(&l->work);
	if ((rc = start_threads(l)) < 0) {
		lane_stop(&l);
		return rc;
	}
	*out = l;
	return 0;
}

void lane_stop(struct lane **lane)
{
	struct lane *l = *lane;

	OBJ_CHECK(l, LANE_MAGIC);
	lock_take(&l->lock);
	l->no_more = true;
	lock_drop(&l->lock);
	(void)pthread_cond_broadcast(&l->work);
	for (unsigned i = 0; i < l->n_threads; i++)
		thread_join(&l->threads[i]);
	free(l->threads);
	free(l->ring);
	(void)pthread_cond_destroy(&l->work);
	lock_fini(&l->lock);
	l->magic = 0;
	free(l);
	*lane = NULL;
}
