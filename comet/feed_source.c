/* feed_source: see feed_source.h.
 *
 * Two things are told apart: `history.at`, up to which the feed has what Redis has, and `passed`, up to which the push threads have had
 * the pushes. A client that comes from a comet that is ahead has Redis read once more, so the history may be ahead of the pushes that come:
 * those are then passed on without being put into it again. Members get a push by its number, so none gets one twice.
 * SPDX-License-Identifier: MIT */
#include "comet/feed_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/obj.h"
#include "common/base/park.h"

/* A room whose pushes come faster than it can be read is tried so often. */
#define READS 5
/* A push that is missing and cannot be read holds up those behind it for so long; then it is a gap. */
#define HOLE_NS (5 * CLOCK_SEC)
/* A position is never so far beyond the clock: two jumps in a row lead two minutes ahead. */
#define AHEAD_US (INT64_C(3600) * 1000000)

/* ---- reading for the first time ---- */

/* What was pushed while it was read follows what was read, or there is a hole, as before a jump: -EAGAIN. 0; -ENOMEM. */
static int merge_locked(struct feeds *s, struct feed *f) NEEDS(s->lock)
{
	struct history *pending = &f->pending;
	int rc = 0;

	if (pending->at > f->history.at && pending->at - pending->n > f->history.at)
		return -EAGAIN;
	while (rc == 0 && pending->n > 0 && f->history.at < pending->at)
		rc = feed_table_add(s, f, history_get(pending, f->history.at + 1));
	return rc;
}

/* The history is what was read. 0 or -ENOMEM: then it is empty. */
static int take_over_locked(struct feeds *s, struct feed *f, const struct resume *r) NEEDS(s->lock)
{
	int rc = 0;

	feed_table_forget_history(s, f);
	f->history.at = r->newest - r->n;
	for (size_t i = 0; rc == 0 && i < r->n; i++)
		rc = feed_table_add(s, f, r->messages[i]);
	if (rc < 0)
		feed_table_forget_history(s, f);
	f->history.at = r->newest;
	f->given_up = 0;
	return rc;
}

static void fail_locked(struct feeds *s, struct feed *f, int rc) NEEDS(s->lock)
{
	f->state = FEED_FAILED;
	f->failed_rc = rc;
	feed_table_remove(s, f);
}

/* It was read. -EAGAIN: once more. */
static int loaded_locked(struct feeds *s, struct feed *f, struct resume *r) NEEDS(s->lock)
{
	int rc = r->rc;

	if (r->may_make && !r->made && f->id[0] != KEPT_USER && s->new_rate.per_second > 0)
		s->new_full_ns -= CLOCK_SEC / s->new_rate.per_second; /* it had one: that of another may be made */
	if (rc == 0) {
		rc = take_over_locked(s, f, r);
		resume_fini(r);
	}
	if (rc == 0)
		rc = merge_locked(s, f);
	if (rc == -EAGAIN)
		return rc;
	if (rc < 0) {
		fail_locked(s, f, rc);
		return 0;
	}
	history_drop(&f->pending);
	f->from = f->passed = f->history.at;
	f->stayed_ns = clock_now_ns();
	f->state = FEED_READY;
	return 0;
}

/* A reference to the feed. True: it is the caller's to read. */
static bool hold_locked(struct feeds *s, struct feed_asked *asked, struct resume *r, int64_t now) NEEDS(s->lock)
{
	struct feed *f = feed_table_find(s, asked->room, now);
	bool is_new = f == NULL;

	asked->rc = 0;
	if (is_new && (f = feed_table_make(s, asked->room, now)) == NULL) {
		asked->rc = -ENOMEM;
		return false;
	}
	feed_table_use(s, f, now);
	f->held++;
	asked->feed = f;
	asked->was_read = is_new;
	if (!is_new)
		return false;
	f->state = FEED_LOADING;
	*r = (struct resume){.room = f->id,
			     .last = f->type->messages,
			     .may_make =
				     f->id[0] == KEPT_USER || rate_take(&s->new_rate, &s->new_full_ns, now, 1) == 0};
	return true;
}

/* Read those that are ours, all at once, until each is whole or has failed. */
static void load(struct feeds *s, struct resume *reads, struct feed **ours, size_t n, int64_t deadline_ns)
{
	for (int tries = 0; n > 0; tries++) {
		size_t left = 0;

		s->logic->resume(s->logic->self, reads, n, deadline_ns);
		lock_take(&s->lock);
		for (size_t i = 0; i < n; i++) {
			struct feed *f = ours[i];

			if (loaded_locked(s, f, &reads[i]) != -EAGAIN)
				continue;
			if (tries == READS) {
				fail_locked(s, f, -ERR_NO_LOGIC);
				continue;
			}
			ours[left] = f;
			reads[left++] = (struct resume){.room = f->id, .last = f->type->messages};
		}
		n = left;
		lock_drop(&s->lock);
		(void)pthread_cond_broadcast(&s->loaded);
	}
}

/* Until another has read it. */
static void wait_locked(struct feeds *s, struct feed_asked *asked, int64_t deadline_ns) NEEDS(s->lock)
{
	struct feed *f = asked->feed;

	while (f->state == FEED_LOADING)
		if (!lock_wait_until(&s->loaded, &s->lock, deadline_ns) && f->state == FEED_LOADING)
			break;
	if (f->state == FEED_READY)
		return;
	asked->rc = f->state == FEED_FAILED ? f->failed_rc : -ERR_NO_LOGIC;
	asked->feed = NULL;
	f->held--;
	feed_source_release(s, f);
}

void feed_source_hold(struct feeds *s, struct feed_asked *asked, size_t n, int64_t deadline_ns)
{
	struct resume *reads = calloc(n, sizeof(*reads));
	struct feed **ours = calloc(n, sizeof(struct feed *));
	int64_t now = clock_now_ns();
	size_t n_ours = 0;
	bool has_memory = reads != NULL && ours != NULL;

	for (size_t i = 0; i < n; i++)
		asked[i].rc = -ENOMEM;
	if (has_memory) {
		lock_take(&s->lock);
		for (size_t i = 0; i < n; i++)
			if (hold_locked(s, &asked[i], &reads[n_ours], now))
				ours[n_ours++] = asked[i].feed;
		lock_drop(&s->lock);
		park_wait_begin();
		load(s, reads, ours, n_ours, deadline_ns);
		lock_take(&s->lock);
		for (size_t i = 0; i < n; i++)
			if (asked[i].rc == 0)
				wait_locked(s, &asked[i], deadline_ns);
		lock_drop(&s->lock);
		park_wait_end();
	}
	free(reads);
	free(ours);
}

void feed_source_release(struct feeds *s, struct feed *f)
{
	/* Nobody tells a comet of pushes to a room that it does not have: without members it cannot stay. */
	if (f->held > 0)
		return;
	if (f->state != FEED_FAILED)
		feed_table_remove(s, f);
	feed_table_free(f);
}

/* ---- members that a back end leads in ---- */

int feed_source_lead(struct feeds *s, const char *room, uint64_t at, struct feed **out)
{
	int64_t now = clock_now_ns(), deadline_ns = now + CLOCK_SEC;
	struct feed *f;
	int rc = 0;

	lock_take(&s->lock);
	while ((f = feed_table_find(s, room, now)) != NULL && f->state == FEED_LOADING && rc == 0)
		if (!lock_wait_until(&s->loaded, &s->lock, deadline_ns))
			rc = -EAGAIN;
	if (f == NULL && rc == 0) {
		/* What was before has been given up, until somebody who asks for it has it read. */
		if ((f = feed_table_make(s, room, now)) != NULL)
			f->history.at = f->passed = f->from = f->given_up = at;
		else
			rc = -ENOMEM;
	}
	if (rc == 0) {
		feed_table_use(s, f, now);
		f->held++;
		*out = f;
	}
	lock_drop(&s->lock);
	return rc;
}

/* ---- reading again ---- */

/* What is here may be behind Redis, or have been given up. */
static bool may_help(uint64_t since, enum feed_gap cause)
{
	return cause == GAP_MEMORY || (cause == GAP_AHEAD && since < (uint64_t)clock_wall_ms() * 1000 + AHEAD_US);
}

/* What was read above its number follows what is here by now. 0 or -ENOMEM. */
static int follow_locked(struct feeds *s, struct feed *f, const struct resume *r) NEEDS(s->lock)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->n; i++)
		if (r->messages[i]->number > f->history.at)
			rc = feed_table_add(s, f, r->messages[i]);
	return rc;
}

/* What is above `since`, or with 0, or where that is a gap, all of it. 0; -ERR_NO_LOGIC, -ENOMEM. */
static int read_again(struct feeds *s, struct feed *f, uint64_t since, bool may_make, int64_t deadline_ns)
{
	struct resume r = {.room = f->id, .since = since, .last = f->type->messages, .may_make = may_make};

	s->logic->resume(s->logic->self, &r, 1, deadline_ns);
	lock_take(&s->lock);
	/* A smaller number is older than the pushes that came meanwhile. */
	if (r.rc == 0 && r.newest >= f->history.at)
		r.rc = since > 0 && !r.gap ? follow_locked(s, f, &r) : take_over_locked(s, f, &r);
	if (r.rc == -EBUSY)
		r.rc = -ERR_NO_LOGIC; /* the number is gone, and nobody pushed since: not known yet */
	f->is_read = false;
	lock_drop(&s->lock);
	(void)pthread_cond_broadcast(&s->loaded);
	resume_fini(&r);
	return r.rc;
}

/* Only one reads it again at a time. False: too late, another still does. */
static bool wait_for_others_locked(struct feeds *s, const struct feed *f, int64_t deadline_ns) NEEDS(s->lock)
{
	bool waits = true;

	while (f->is_read && waits)
		waits = lock_wait_until(&s->loaded, &s->lock, deadline_ns);
	return !f->is_read;
}

int feed_source_catch_up(struct feeds *s, struct feed *f, int64_t deadline_ns)
{
	bool is_ours;
	uint64_t had;
	int rc;

	park_wait_begin();
	lock_take(&s->lock);
	is_ours = wait_for_others_locked(s, f, deadline_ns);
	f->is_read = true; /* by us, or by another still */
	had = f->history.at;
	lock_drop(&s->lock);
	rc = is_ours ? read_again(s, f, had, true, deadline_ns) : -ERR_NO_LOGIC;
	park_wait_end();
	return rc;
}

int feed_source_look_again(struct feeds *s, struct feed *f, uint64_t since, enum feed_gap cause, int64_t deadline_ns)
{
	bool is_free, is_here, is_ours;
	uint64_t had;
	int rc = 0;

	if (!may_help(since, cause))
		return 0;
	park_wait_begin();
	lock_take(&s->lock);
	is_free = wait_for_others_locked(s, f, deadline_ns);
	is_here = since <= f->history.at && f->history.at - since <= f->history.n;
	is_ours = is_free && !is_here;
	if (is_ours)
		f->is_read = true;
	/* Anybody may name a number that is ahead: for that no history is read whole. */
	had = since > f->history.at ? f->history.at : 0;
	lock_drop(&s->lock);
	if (is_ours)
		rc = read_again(s, f, had, false, deadline_ns);
	else if (!is_here)
		rc = -ERR_NO_LOGIC;
	park_wait_end();
	return rc < 0 ? rc : 1;
}

/* ---- pushes ---- */

/* What comes while it is read: after a hole only what is behind it. */
static int keep_pending_locked(struct feeds *s, struct feed *f, struct message *m) NEEDS(s->lock)
{
	if (f->pending.at + 1 != m->number) {
		history_drop(&f->pending);
		f->pending.at = m->number - 1;
	}
	return history_add(&f->pending, m, f->type->messages, s->history_bytes);
}

/* Into the history, unless that is ahead. */
static void note_locked(struct feeds *s, struct feed *f, struct message *m) NEEDS(s->lock)
{
	f->passed = m->number;
	f->hole_ns = 0;
	if (m->number <= f->history.at)
		return;
	if (feed_table_add(s, f, m) < 0) {
		feed_table_forget_history(s, f);
		f->history.at = m->number;
		f->given_up = m->number;
	}
}

int feed_source_pass(struct feeds *s, const char *name, struct message *m, const struct feed_reach *reach)
{
	struct feed *f;
	int rc = 0;

	if (m->number == 0)
		return 0;
	lock_take(&s->lock);
	f = feed_table_find(s, name, clock_now_ns());
	if (f != NULL && f->state == FEED_LOADING)
		rc = keep_pending_locked(s, f, m);
	else if (f != NULL && m->number <= f->passed)
		rc = m->number > f->from ? -EALREADY : 0;
	else if (f != NULL && m->number > f->passed + 1)
		rc = -ESTALE;
	else if (f != NULL && (rc = feed_table_reach(s, f, reach)) == 0)
		note_locked(s, f, m);
	lock_drop(&s->lock);
	return rc;
}

int feed_source_jump(struct feeds *s, const char *name, uint64_t at, const struct feed_reach *reach)
{
	struct feed *f;
	int rc = 0;

	lock_take(&s->lock);
	f = feed_table_find(s, name, clock_now_ns());
	if (f != NULL)
		rc = feed_table_reach(s, f, reach);
	if (rc < 0)
		f = NULL;
	if (f != NULL && f->state == FEED_LOADING) {
		history_drop(&f->pending);
		f->pending.at = at;
	} else if (f != NULL && at > f->passed) {
		if (at > f->history.at) {
			feed_table_forget_history(s, f);
			f->history.at = at;
			f->jumped = at;
		}
		f->from = f->passed = at;
		f->hole_ns = 0;
	}
	lock_drop(&s->lock);
	return rc;
}

/* ---- a push is missing ---- */

/* The number after which one is missing before `number`; 0: none is. *is_late: it was missing for long. */
static uint64_t hole_before(struct feeds *s, const char *room, uint64_t number, bool *is_late)
{
	int64_t now = clock_now_ns();
	uint64_t after = 0;
	struct feed *f;

	lock_take(&s->lock);
	f = feed_table_find(s, room, now);
	if (f != NULL && f->state == FEED_READY && number > f->passed + 1) {
		after = f->passed;
		if (f->hole_ns == 0)
			f->hole_ns = now;
		*is_late = now - f->hole_ns > HOLE_NS;
	}
	lock_drop(&s->lock);
	return after;
}

static int say_gap(uint64_t number, int (*each)(void *arg, struct message *m), void *arg)
{
	struct message *notice;
	int rc = message_new_notice(&notice);

	if (rc < 0)
		return rc;
	notice->number = number;
	if ((rc = each(arg, notice)) == 0)
		count_by(COUNT_STREAM_HOLES, HOLE_GAP);
	message_unref(&notice);
	return rc;
}

int feed_source_fill(struct feeds *s, const char *room, uint64_t number, int (*each)(void *arg, struct message *m),
		     void *arg)
{
	const int64_t deadline = clock_now_ns() + CLOCK_SEC;
	struct resume r = {.room = room};
	bool is_late = false;
	uint64_t had;
	int rc = 0;

	if ((r.since = hole_before(s, room, number, &is_late)) == 0)
		return 0;
	had = r.since;
	s->logic->resume(s->logic->self, &r, 1, deadline);
	if (r.rc < 0)
		return is_late ? say_gap(number - 1, each, arg) : -EAGAIN;
	for (size_t i = 0; !r.gap && rc == 0 && i < r.n && r.messages[i]->number < number; i++)
		if ((rc = each(arg, r.messages[i])) == 0)
			had = r.messages[i]->number;
	resume_fini(&r);
	if (rc == 0 && had + 1 < number)
		return say_gap(number - 1, each, arg);
	if (rc == 0)
		count_by(COUNT_STREAM_HOLES, HOLE_FILLED);
	return rc;
}
