/* feed_tell: what clients confirm of streams that are Redis's is told there a moment later, that of many at a time: see feed_source.h.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "comet/feed_source.h"
#include "common/base/clock.h"
#include "common/base/park.h"

/* Users told of at a time, and how long that may take. */
#define TELLS   1000
#define TELL_NS CLOCK_SEC
/* Connections that end and wait for that, each on a thread whose place another takes: where Redis does not answer and all clients go it
 * would be a thread for each of them. Of the others it is told with all else. */
#define WAITING_MOST 128

void feed_source_note_acks(struct feeds *s, struct feed *f)
{
	if (f->is_to_tell)
		return;
	f->is_to_tell = true;
	f->held++;
	f->tell_next = s->to_tell;
	s->to_tell = f;
}

/* Not told: unless something newer was confirmed meanwhile, that is still to be told. */
static void give_back_locked(struct feeds *s, struct feed *f, const struct acks *acks) NEEDS(s->lock)
{
	for (size_t i = 0; i < acks->n; i++)
		if (feed_table_confirm(s, f, acks->of[i].key, acks->of[i].at) == 0)
			feed_source_note_acks(s, f);
}

static int tell(struct feeds *s, struct acks_of *all, size_t n, int64_t deadline_ns)
{
	return s->logic->confirm != NULL ? s->logic->confirm(s->logic->self, all, n, deadline_ns) : 0;
}

/* The first ones of the list, which is the caller's, with their acks; what he holds of them is his. How many. */
static size_t take_locked(struct feeds *s, struct feed **list, struct feed **feeds, struct acks_of *all) NEEDS(s->lock)
{
	size_t n = 0;

	for (; *list != NULL && n < TELLS; n++) {
		struct feed *f = *list;

		*list = f->tell_next;
		f->is_to_tell = false;
		feeds[n] = f;
		all[n] = (struct acks_of){f->id, feed_table_take_acks(s, f)};
	}
	return n;
}

static void settle_locked(struct feeds *s, struct feed *f, struct acks *acks, int rc) NEEDS(s->lock)
{
	if (rc < 0)
		give_back_locked(s, f, acks);
	acks_fini(acks);
	f->held--;
	feed_source_release(s, f);
}

/* The rest of the list. */
static void keep_locked(struct feeds *s, struct feed *list) NEEDS(s->lock)
{
	struct feed *f;

	while ((f = list) != NULL) {
		list = f->tell_next;
		f->tell_next = s->to_tell;
		s->to_tell = f;
	}
}

/* What comes meanwhile, or back, waits for the next time; and so do all others once Redis has not answered, or the thread would wait for it
 * a second for each thousand. */
static void tell_list(struct feeds *s, struct feed **feeds, struct acks_of *all)
{
	struct feed *list;
	int rc = 0;

	lock_take(&s->lock);
	list = s->to_tell;
	s->to_tell = NULL;
	while (list != NULL && rc == 0) {
		size_t n = take_locked(s, &list, feeds, all);

		lock_drop(&s->lock);
		rc = tell(s, all, n, clock_now_ns() + TELL_NS);
		lock_take(&s->lock);
		for (size_t i = 0; i < n; i++)
			settle_locked(s, feeds[i], &all[i].acks, rc);
	}
	keep_locked(s, list);
	lock_drop(&s->lock);
}

void feed_source_tell(struct feeds *s)
{
	struct acks_of *all;
	struct feed **feeds;
	bool has_news;

	lock_take(&s->lock);
	has_news = s->to_tell != NULL;
	lock_drop(&s->lock);
	if (!has_news)
		return;
	all = calloc(TELLS, sizeof(*all));
	feeds = calloc(TELLS, sizeof(struct feed *));
	if (all != NULL && feeds != NULL)
		tell_list(s, feeds, all);
	free(feeds);
	free(all);
}

/* Its place in the list stays: there it is found to have nothing. */
static void tell_of(struct feeds *s, struct feed *f, int64_t deadline_ns)
{
	struct acks_of acks = {f->id, {0}};
	int rc = 0;

	lock_take(&s->lock);
	acks.acks = feed_table_take_acks(s, f);
	lock_drop(&s->lock);
	if (acks.acks.n > 0) {
		park_wait_begin();
		rc = tell(s, &acks, 1, deadline_ns);
		park_wait_end();
	}
	if (rc < 0) {
		lock_take(&s->lock);
		give_back_locked(s, f, &acks.acks);
		lock_drop(&s->lock);
	}
	acks_fini(&acks.acks);
}

void feed_source_tell_of(struct feeds *s, struct feed *f, int64_t deadline_ns)
{
	if (atomic_fetch_add(&s->waiting_to_tell, 1) < WAITING_MOST)
		tell_of(s, f, deadline_ns);
	(void)atomic_fetch_sub(&s->waiting_to_tell, 1);
}

void feed_source_forget_acks(struct feeds *s)
{
	struct feed *f;

	while ((f = s->to_tell) != NULL) {
		s->to_tell = f->tell_next;
		f->held--;
		feed_source_release(s, f);
	}
}
