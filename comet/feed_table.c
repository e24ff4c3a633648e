/* feed_table: see feed_table.h. SPDX-License-Identifier: MIT */
#include "comet/feed_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"

/* What a stream without a message counts in stream.memory: malloc's shares of it, of its id and of its place in the map. */
#define FEED_COST 512
/* The same of the devices of a user who has confirmed something. */
#define ACKS_COST 1536
/* Streams looked at when memory is short, by one that adds to it. */
#define VICTIMS 16

static void unlink_locked(struct feeds *s, struct feed *f) NEEDS(s->lock)
{
	if (s->sweep == f)
		s->sweep = f->newer;
	if (s->stay == f)
		s->stay = f->newer;
	if (f->newer != NULL)
		f->newer->older = f->older;
	else
		s->newest = f->older;
	if (f->older != NULL)
		f->older->newer = f->newer;
	else
		s->oldest = f->newer;
}

static void link_locked(struct feeds *s, struct feed *f) NEEDS(s->lock)
{
	f->newer = NULL;
	f->older = s->newest;
	if (s->newest != NULL)
		s->newest->newer = f;
	else
		s->oldest = f;
	s->newest = f;
}

void feed_table_use(struct feeds *s, struct feed *f, int64_t now) NEEDS(s->lock)
{
	f->used_ns = now;
	if (s->newest == f)
		return;
	unlink_locked(s, f);
	link_locked(s, f);
}

/* The history may have changed: it had so many messages and bytes before. */
static void account_locked(struct feeds *s, const struct feed *f, size_t n, size_t bytes) NEEDS(s->lock)
{
	s->bytes += f->history.bytes - bytes;
	/* Where one came and one of the same length went, there is nothing to count. */
	if (f->history.n != n)
		count_add(COUNT_STREAM_MESSAGES, (int64_t)f->history.n - (int64_t)n);
	if (f->history.bytes != bytes)
		count_add(COUNT_STREAM_BYTES, (int64_t)f->history.bytes - (int64_t)bytes);
}

void feed_table_forget_history(struct feeds *s, struct feed *f) NEEDS(s->lock)
{
	size_t n = f->history.n, bytes = f->history.bytes;

	history_drop(&f->history);
	account_locked(s, f, n, bytes);
}

void feed_table_free(struct feed *f)
{
	history_drop(&f->pending);
	acks_fini(&f->acks);
	f->magic = 0;
	free(f->id);
	free(f);
}

static void charge_locked(struct feeds *s, int64_t bytes) NEEDS(s->lock)
{
	s->bytes += (size_t)bytes;
	count_add(COUNT_STREAM_BYTES, bytes);
}

void feed_table_remove(struct feeds *s, struct feed *f) NEEDS(s->lock)
{
	feed_table_forget_history(s, f);
	if (f->history.at > s->gone_at)
		s->gone_at = f->history.at;
	unlink_locked(s, f);
	(void)strmap_del(&s->all, f->id);
	count_add(COUNT_STREAMS, -1);
	charge_locked(s, -FEED_COST - (f->acks.of != NULL ? ACKS_COST : 0));
}

bool feed_table_expire(struct feeds *s, struct feed *f, int64_t now) NEEDS(s->lock)
{
	if (f->history.n > 0 && now - f->pushed_ns > f->type->ttl_ms * CLOCK_MS)
		feed_table_forget_history(s, f);
	if (f->held > 0 || now - f->used_ns <= (f->pushed_ns > 0 ? s->position_ttl_ns : s->idle_ttl_ns))
		return false;
	feed_table_remove(s, f);
	feed_table_free(f);
	return true;
}

/* The longest unused ones give up their histories, and then, where nobody holds them, their numbers; `but` is not touched. */
static void make_space_locked(struct feeds *s, const struct feed *but) NEEDS(s->lock)
{
	for (int i = 0; i < VICTIMS && s->bytes > s->memory_bytes; i++) {
		struct feed *f = s->oldest;

		if (f == NULL || f == but)
			return;
		if (f->history.n > 0) {
			f->given_up = f->history.at;
			feed_table_forget_history(s, f);
			count(COUNT_STREAMS_GIVEN_UP);
		} else if (f->held == 0) {
			feed_table_remove(s, f);
			feed_table_free(f);
			count(COUNT_STREAMS_GIVEN_UP);
		} else {
			unlink_locked(s, f);
			link_locked(s, f);
		}
	}
}

struct feed *feed_table_make(struct feeds *s, const char *room, int64_t now) NEEDS(s->lock)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	if ((f->id = strdup(room)) == NULL || strmap_put(&s->all, room, f, NULL) < 0) {
		feed_table_free(f);
		return NULL;
	}
	f->magic = FEED_MAGIC;
	f->type = kept_of_stream(&s->kept, room);
	f->used_ns = now;
	link_locked(s, f);
	charge_locked(s, FEED_COST);
	count(COUNT_STREAMS);
	make_space_locked(s, f);
	return f;
}

struct feed *feed_table_find(struct feeds *s, const char *room, int64_t now) NEEDS(s->lock)
{
	struct feed *f = strmap_get(&s->all, room);

	return f == NULL || feed_table_expire(s, f, now) ? NULL : f;
}

int feed_table_add(struct feeds *s, struct feed *f, struct message *m)
{
	size_t n = f->history.n, bytes = f->history.bytes;
	int64_t now = clock_now_ns();
	int rc = history_add(&f->history, m, f->type->messages, s->history_bytes);

	if (rc < 0)
		return rc;
	account_locked(s, f, n, bytes);
	f->pushed_ns = now;
	feed_table_use(s, f, now);
	make_space_locked(s, f);
	return 0;
}

int feed_table_reach(struct feeds *s, const struct feed *f, const struct feed_reach *reach) NEEDS(s->lock)
{
	int rc = 0;

	(void)s; /* whose lock it is */
	for (struct membership *m = reach != NULL ? f->members : NULL; rc == 0 && m != NULL; m = m->next)
		rc = reach->each(reach->arg, m->connection);
	return rc;
}

int feed_table_confirm(struct feeds *s, struct feed *f, const char *key, uint64_t at) NEEDS(s->lock)
{
	bool had = f->acks.of != NULL;
	int rc = acks_set(&f->acks, key, at);

	if (!had && f->acks.of != NULL)
		charge_locked(s, ACKS_COST);
	return rc;
}

struct acks feed_table_take_acks(struct feeds *s, struct feed *f) NEEDS(s->lock)
{
	struct acks acks = f->acks;

	if (acks.of != NULL)
		charge_locked(s, -ACKS_COST);
	f->acks = (struct acks){0};
	return acks;
}
