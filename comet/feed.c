/* feed: see feed.h. SPDX-License-Identifier: MIT */
#include "comet/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/feed_source.h"
#include "comet/feed_table.h"
#include "comet/membership.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"

/* Numbers that are made at once by clients who come back together, whatever stream.new says of the next ones. */
#define NEW_BURST 10000
/* How far a jump leads beyond the clock: the data that are lost are younger than a minute. */
#define JUMP_US 60000000u

static const char *const gaps[FEED_GAPS] = {
	[GAP_OLD] = "old",       [GAP_AHEAD] = "ahead",     [GAP_JUMP] = "jump",
	[GAP_MEMORY] = "memory", [GAP_OVERRUN] = "overrun", [GAP_UNKNOWN] = "unknown"};
static const char *const holes[FEED_HOLES] = {[HOLE_FILLED] = "filled", [HOLE_GAP] = "gap"};

COUNTER_LABELS(STREAM_HOLES, holes, FEED_HOLES);
COUNTER_LABELS(STREAM_GAPS, gaps, FEED_GAPS);

void feeds_init(struct feeds *s, const struct config *cfg, const struct logic_client *logic)
{
	*s = (struct feeds){
		.magic = FEEDS_MAGIC,
		.logic = logic,
		.history_bytes = (size_t)cfg->stream_bytes,
		.memory_bytes = (size_t)cfg->stream_memory,
		.position_ttl_ns = cfg->stream_position_ttl * CLOCK_MS,
		.idle_ttl_ns = cfg->stream_idle_ttl * CLOCK_MS,
		.spread_ms = cfg->stream_spread,
		.new_rate = {.per_second = cfg->stream_new},
	};
	if (cfg->stream_new > 0)
		s->new_rate.burst_ns = NEW_BURST * CLOCK_SEC / cfg->stream_new;
	BUG_UNLESS(kept_parse(cfg->stream_rooms, cfg->stream_users, &s->kept) == 0);
	lock_init(&s->lock, LOCK_FEED);
	lock_cond_init(&s->loaded);
	strmap_init(&s->all);
}

int64_t feeds_reload_ms(const struct feeds *s)
{
	static _Atomic uint64_t state;
	uint64_t dice =
		atomic_fetch_add_explicit(&state, 0x9e3779b97f4a7c15, memory_order_relaxed) + (uint64_t)clock_now_ns();

	dice = (dice ^ (dice >> 30)) * 0xbf58476d1ce4e5b9;
	dice = (dice ^ (dice >> 27)) * 0x94d049bb133111eb;
	return s->spread_ms > 0 ? (int64_t)((dice >> 33) % (uint64_t)s->spread_ms) : 0;
}

/* The clock in microseconds, within what a number can be. */
static uint64_t clock_us(void)
{
	const int64_t most = MESSAGE_NUMBERS_END / 2;
	int64_t ms = clock_wall_ms();

	return (uint64_t)(ms < 1 ? 1 : ms > most / 1000 ? most : ms * 1000);
}

/* ---- joining ---- */

/* One that is new, in a comet alone, with its number. NULL: no memory. */
static struct feed *make_locked(struct feeds *s, const char *room, int64_t now) NEEDS(s->lock)
{
	struct feed *f = feed_table_make(s, room, now);

	if (f == NULL)
		return NULL;
	f->history.at = clock_us();
	if (f->history.at <= s->gone_at)
		f->history.at = s->gone_at + 1;
	return f;
}

/* `rate`: numbers are made at stream.new. */
static int hold_locked(struct feeds *s, const char *room, bool rate, int64_t now, struct feed **out) NEEDS(s->lock)
{
	struct feed *f = feed_table_find(s, room, now);

	/* A user is who he is, and cannot invent names. */
	if (f == NULL && rate && room[0] != KEPT_USER && rate_take(&s->new_rate, &s->new_full_ns, now, 1) > 0)
		return -EBUSY;
	if (f == NULL && (f = make_locked(s, room, now)) == NULL)
		return -ENOMEM;
	feed_table_use(s, f, now);
	f->held++;
	*out = f;
	return 0;
}

static void hold_here(struct feeds *s, struct feed_asked *asked, size_t n)
{
	int64_t now = clock_now_ns();

	lock_take(&s->lock);
	for (size_t i = 0; i < n; i++)
		asked[i].rc = hold_locked(s, asked[i].room, true, now, &asked[i].feed);
	lock_drop(&s->lock);
}

void feed_hold(struct feeds *s, struct feed_asked *asked, size_t n, int64_t deadline_ns)
{
	OBJ_CHECK(s, FEEDS_MAGIC);
	for (size_t i = 0; i < n; i++)
		asked[i].feed = NULL;
	if (feed_source_is(s))
		feed_source_hold(s, asked, n, deadline_ns);
	else
		hold_here(s, asked, n);
}

int feed_lead(struct feeds *s, const char *room, uint64_t at, struct feed **out)
{
	int rc;

	OBJ_CHECK(s, FEEDS_MAGIC);
	if (feed_source_is(s))
		return feed_source_lead(s, room, at, out);
	lock_take(&s->lock);
	rc = hold_locked(s, room, false, clock_now_ns(), out);
	lock_drop(&s->lock);
	return rc;
}

struct feed *feed_ref(struct feeds *s, struct feed *f)
{
	OBJ_CHECK(f, FEED_MAGIC);
	lock_take(&s->lock);
	f->held++;
	lock_drop(&s->lock);
	return f;
}

void feed_release(struct feeds *s, struct feed **feed)
{
	struct feed *f = *feed;

	OBJ_CHECK(f, FEED_MAGIC);
	*feed = NULL;
	lock_take(&s->lock);
	BUG_UNLESS(f->held > 0);
	f->held--;
	if (feed_source_is(s))
		feed_source_release(s, f);
	else
		feed_table_use(s, f, clock_now_ns());
	lock_drop(&s->lock);
}

static enum feed_gap cause_of(const struct feed *f, uint64_t since)
{
	if (since > f->history.at)
		return GAP_AHEAD;
	if (since < f->jumped)
		return GAP_JUMP;
	return since < f->given_up ? GAP_MEMORY : GAP_OLD;
}

static void decide_locked(struct feed *f, const struct feed_wish *wish, struct feed_place *out)
{
	const struct history *h = &f->history;
	uint64_t back = wish->last < h->n ? wish->last : h->n;

	*out = (struct feed_place){.newest = h->at};
	if (wish->since > 0 && wish->since <= h->at && h->at - wish->since <= h->n) {
		back = h->at - wish->since;
	} else if (wish->since > 0) {
		out->gap = true;
		out->cause = cause_of(f, wish->since);
	}
	out->replay = (unsigned)back;
	out->at = h->at - back;
}

static int take_locked(const struct history *h, uint64_t above, struct message **out, unsigned n_max, size_t bytes_max)
{
	size_t bytes = 0;
	unsigned n = 0;

	if (above > h->at || h->at - above > h->n)
		return -ESTALE;
	for (; n < n_max && above + n < h->at && (n == 0 || bytes < bytes_max); n++) {
		out[n] = message_ref(history_get(h, above + n + 1));
		bytes += out[n]->body_bytes;
	}
	return (int)n;
}

unsigned feed_read(struct feeds *s, struct feed *f, const struct feed_wish *wish, struct feed_place *place,
		   struct message **out, unsigned n_max)
{
	int n;

	OBJ_CHECK(f, FEED_MAGIC);
	lock_take(&s->lock);
	(void)feed_table_expire(s, f, clock_now_ns()); /* it is held, so it stays */
	decide_locked(f, wish, place);
	n = take_locked(&f->history, place->at, out, n_max, SIZE_MAX);
	lock_drop(&s->lock);
	return (unsigned)n;
}

/* False: it looks like a gap, and Redis may know more. */
static bool settle(struct feeds *s, struct feed *f, const struct feed_wish *wish, bool may_ask, _Atomic uint64_t *place,
		   struct feed_place *out)
{
	bool settled;

	OBJ_CHECK(f, FEED_MAGIC);
	lock_take(&s->lock);
	(void)feed_table_expire(s, f, clock_now_ns()); /* it is held, so it stays */
	decide_locked(f, wish, out);
	settled = !out->gap || !may_ask;
	if (settled && place != NULL)
		atomic_store(place, MEMBERSHIP_UP_TO(out->newest));
	lock_drop(&s->lock);
	return settled;
}

int feed_decide(struct feeds *s, struct feed *f, const struct feed_wish *wish, int64_t deadline_ns,
		_Atomic uint64_t *place, struct feed_place *out)
{
	int rc;

	if (!settle(s, f, wish, feed_source_is(s), place, out)) {
		if ((rc = feed_source_look_again(s, f, wish->since, out->cause, deadline_ns)) < 0)
			return rc;
		(void)settle(s, f, wish, false, place, out);
	}
	if (out->gap)
		count_by(COUNT_STREAM_GAPS, out->cause);
	return 0;
}

int feed_take(struct feeds *s, struct feed *f, uint64_t above, struct message **out, unsigned n_max, size_t bytes_max)
{
	int n;

	OBJ_CHECK(f, FEED_MAGIC);
	lock_take(&s->lock);
	n = take_locked(&f->history, above, out, n_max, bytes_max);
	lock_drop(&s->lock);
	return n;
}

bool feed_finish(struct feeds *s, struct feed *f, uint64_t sent, _Atomic uint64_t *after)
{
	bool done;

	OBJ_CHECK(f, FEED_MAGIC);
	lock_take(&s->lock);
	done = f->history.at == sent;
	if (done)
		atomic_store(after, sent);
	lock_drop(&s->lock);
	return done;
}

void feed_skip(struct feeds *s, struct feed *f, void (*say)(void *arg, uint64_t at), void *arg, _Atomic uint64_t *after)
{
	OBJ_CHECK(f, FEED_MAGIC);
	lock_take(&s->lock);
	say(arg, f->history.at);
	atomic_store(after, f->history.at);
	lock_drop(&s->lock);
	count_by(COUNT_STREAM_GAPS, GAP_OVERRUN);
}

/* ---- a user's stream ---- */

void feed_enter(struct feeds *s, struct feed *f, struct membership *m)
{
	lock_take(&s->lock);
	m->prev = NULL;
	m->next = f->members;
	if (m->next != NULL)
		m->next->prev = m;
	f->members = m;
	lock_drop(&s->lock);
}

void feed_leave(struct feeds *s, struct feed *f, struct membership *m)
{
	lock_take(&s->lock);
	if (m->next != NULL)
		m->next->prev = m->prev;
	if (m->prev != NULL)
		m->prev->next = m->next;
	else
		f->members = m->next;
	m->next = m->prev = NULL;
	lock_drop(&s->lock);
}

int feed_catch_up(struct feeds *s, const struct feed_asked *asked, int64_t deadline_ns)
{
	return feed_source_is(s) && !asked->was_read ? feed_source_catch_up(s, asked->feed, deadline_ns) : 0;
}

uint64_t feed_confirm(struct feeds *s, struct feed *f, const char *key, uint64_t at)
{
	OBJ_CHECK(f, FEED_MAGIC);
	lock_take(&s->lock);
	if (at > f->history.at)
		at = f->history.at;
	/* Without memory it is as if it had been lost. */
	if (key != NULL && feed_table_confirm(s, f, key, at) == 0 && feed_source_is(s))
		feed_source_note_acks(s, f);
	lock_drop(&s->lock);
	return at;
}

int feed_confirmed(struct feeds *s, struct feed *f, int64_t deadline_ns, struct acks *out)
{
	int rc;

	OBJ_CHECK(f, FEED_MAGIC);
	if (feed_source_is(s))
		return s->logic->confirmed(s->logic->self, f->id, deadline_ns, out);
	lock_take(&s->lock);
	rc = acks_copy(&f->acks, out);
	lock_drop(&s->lock);
	return rc;
}

/* ---- the way down ---- */

static int append_here(struct feeds *s, const char *name, struct message *message, const struct feed_reach *reach)
{
	int64_t now = clock_now_ns();
	struct feed *f;
	int rc = -ENOMEM;

	lock_take(&s->lock);
	if (((f = feed_table_find(s, name, now)) != NULL || (f = make_locked(s, name, now)) != NULL) &&
	    (rc = feed_table_reach(s, f, reach)) == 0) {
		message->number = f->history.at + 1;
		rc = feed_table_add(s, f, message);
	}
	lock_drop(&s->lock);
	return rc;
}

int feed_append(struct feeds *s, const char *name, struct message *message, const struct feed_reach *reach)
{
	if (kept_of_stream(&s->kept, name) == NULL)
		return 0;
	return feed_source_is(s) ? feed_source_pass(s, name, message, reach) : append_here(s, name, message, reach);
}

uint64_t feed_newest(struct feeds *s, struct feed *f)
{
	uint64_t at;

	OBJ_CHECK(f, FEED_MAGIC);
	lock_take(&s->lock);
	at = f->history.at;
	lock_drop(&s->lock);
	return at;
}

int feed_jump(struct feeds *s, const char *name, uint64_t *at, const struct feed_reach *reach)
{
	int64_t now = clock_now_ns();
	uint64_t clock = clock_us();
	struct feed *f;
	int rc = -ENOMEM;

	if (feed_source_is(s))
		return feed_source_jump(s, name, *at, reach);
	if (kept_of_stream(&s->kept, name) == NULL)
		return 0;
	lock_take(&s->lock);
	if (((f = feed_table_find(s, name, now)) != NULL || (f = make_locked(s, name, now)) != NULL) &&
	    (rc = feed_table_reach(s, f, reach)) == 0) {
		feed_table_forget_history(s, f);
		f->history.at = (clock > f->history.at ? clock : f->history.at) + JUMP_US;
		f->jumped = f->history.at;
		*at = f->history.at;
	}
	lock_drop(&s->lock);
	return rc;
}

/* ---- the end ---- */

void feeds_sweep(struct feeds *s, unsigned n)
{
	int64_t now = clock_now_ns();

	lock_take(&s->lock);
	for (; n > 0 && s->newest != NULL; n--) {
		struct feed *f = s->sweep != NULL ? s->sweep : s->oldest;

		s->sweep = f->newer;
		(void)feed_table_expire(s, f, now);
		if (s->sweep == NULL)
			break; /* round */
	}
	lock_drop(&s->lock);
}

void feeds_fini(struct feeds *s)
{
	OBJ_CHECK(s, FEEDS_MAGIC);
	lock_take(&s->lock);
	feed_source_forget_acks(s);
	while (s->oldest != NULL) {
		struct feed *f = s->oldest;

		BUG_UNLESS(f->held == 0);
		feed_table_remove(s, f);
		feed_table_free(f);
	}
	lock_drop(&s->lock);
	strmap_fini(&s->all);
	(void)pthread_cond_destroy(&s->loaded);
	lock_fini(&s->lock);
	s->magic = 0;
}
