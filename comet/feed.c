/* feed: see feed.h. SPDX-License-Identifier: MIT */
#include "comet/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/history.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"

/* What a stream without a message counts in stream.memory: malloc's shares of it, of its id and of its place in the map. */
#define FEED_COST 512
/* Numbers that are made at once by clients who come back together, whatever stream.new says of the next ones. */
#define NEW_BURST 10000
/* How far a jump leads beyond the clock: the data that are lost are younger than a minute. */
#define JUMP_US 60000000u
/* Streams looked at when memory is short, by one that adds to it. */
#define VICTIMS 16

struct feed {
	unsigned magic;
#define FEED_MAGIC 0x57e4a301
	/* set once */
	char *id;
	const struct kept_type *type;
	/* under the table's lock */
	struct feed *newer, *older;
	struct history history;
	unsigned held;
	bool was_pushed;
	int64_t used_ns;   /* its last push, join or end of one */
	int64_t pushed_ns; /* its last push */
	uint64_t jumped;   /* it jumped to this number, or 0 */
	uint64_t given_up; /* for stream.memory all up to this number went, or 0 */
};

static const char *const joins[JOIN_RESULTS] = {[JOIN_LIVE] = "live",
						[JOIN_REPLAYED] = "replayed",
						[JOIN_GAP] = "gap",
						[JOIN_REFUSED] = "refused",
						[JOIN_UNAVAILABLE] = "unavailable"};
static const char *const gaps[FEED_GAPS] = {[GAP_OLD] = "old",
					    [GAP_AHEAD] = "ahead",
					    [GAP_JUMP] = "jump",
					    [GAP_MEMORY] = "memory",
					    [GAP_OVERRUN] = "overrun"};

COUNTER_LABELS(JOINS, joins, JOIN_RESULTS);
COUNTER_LABELS(STREAM_GAPS, gaps, FEED_GAPS);

void feeds_init(struct feeds *s, const struct config *cfg)
{
	*s = (struct feeds){
		.magic = FEEDS_MAGIC,
		.history_bytes = (size_t)cfg->stream_bytes,
		.memory_bytes = (size_t)cfg->stream_memory,
		.position_ttl_ns = cfg->stream_position_ttl * CLOCK_MS,
		.idle_ttl_ns = cfg->stream_idle_ttl * CLOCK_MS,
		.spread_ms = cfg->stream_spread,
		.new_rate = {.per_second = cfg->stream_new},
	};
	if (cfg->stream_new > 0)
		s->new_rate.burst_ns = NEW_BURST * CLOCK_SEC / cfg->stream_new;
	/* In a cluster Redis numbers, and comets do not read that yet. */
	if (cfg->logic_mode == CONFIG_LOGIC_EMBEDDED && cfg->stream_rooms != NULL)
		BUG_UNLESS(kept_parse(cfg->stream_rooms, &s->kept) == 0);
	lock_init(&s->lock, LOCK_FEED);
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

/* ---- the table: all under its lock ---- */

static void unlink_locked(struct feeds *s, struct feed *f) NEEDS(s->lock)
{
	if (s->sweep == f)
		s->sweep = f->newer;
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

static void use_locked(struct feeds *s, struct feed *f, int64_t now) NEEDS(s->lock)
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
	count_add(COUNT_STREAM_MESSAGES, (int64_t)f->history.n - (int64_t)n);
	count_add(COUNT_STREAM_BYTES, (int64_t)f->history.bytes - (int64_t)bytes);
}

static void forget_history_locked(struct feeds *s, struct feed *f) NEEDS(s->lock)
{
	size_t n = f->history.n, bytes = f->history.bytes;

	history_drop(&f->history);
	account_locked(s, f, n, bytes);
}

static void free_feed(struct feed *f)
{
	f->magic = 0;
	free(f->id);
	free(f);
}

static void remove_locked(struct feeds *s, struct feed *f) NEEDS(s->lock)
{
	BUG_UNLESS(f->held == 0);
	forget_history_locked(s, f);
	if (f->history.at > s->gone_at)
		s->gone_at = f->history.at;
	unlink_locked(s, f);
	(void)strmap_del(&s->all, f->id);
	s->bytes -= FEED_COST;
	count_add(COUNT_STREAMS, -1);
	count_add(COUNT_STREAM_BYTES, -FEED_COST);
	free_feed(f);
}

/* Forget what is over. True: the stream itself is gone. */
static bool expire_locked(struct feeds *s, struct feed *f, int64_t now) NEEDS(s->lock)
{
	if (f->history.n > 0 && now - f->pushed_ns > f->type->ttl_ms * CLOCK_MS)
		forget_history_locked(s, f);
	if (f->held > 0 || now - f->used_ns <= (f->was_pushed ? s->position_ttl_ns : s->idle_ttl_ns))
		return false;
	remove_locked(s, f);
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
			forget_history_locked(s, f);
			count(COUNT_STREAMS_GIVEN_UP);
		} else if (f->held == 0) {
			remove_locked(s, f);
			count(COUNT_STREAMS_GIVEN_UP);
		} else {
			unlink_locked(s, f);
			link_locked(s, f);
		}
	}
}

/* The clock in microseconds, within what a number can be. */
static uint64_t clock_us(void)
{
	const int64_t most = FEED_NUMBERS_END / 2;
	int64_t ms = clock_wall_ms();

	return (uint64_t)(ms < 1 ? 1 : ms > most / 1000 ? most : ms * 1000);
}

/* NULL: no memory. */
static struct feed *make_locked(struct feeds *s, const char *room, int64_t now) NEEDS(s->lock)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	if ((f->id = strdup(room)) == NULL || strmap_put(&s->all, room, f, NULL) < 0) {
		free_feed(f);
		return NULL;
	}
	f->magic = FEED_MAGIC;
	f->type = kept_of(&s->kept, room);
	f->history.at = clock_us();
	if (f->history.at <= s->gone_at)
		f->history.at = s->gone_at + 1;
	f->used_ns = now;
	link_locked(s, f);
	s->bytes += FEED_COST;
	count(COUNT_STREAMS);
	count_add(COUNT_STREAM_BYTES, FEED_COST);
	make_space_locked(s, f);
	return f;
}

/* The stream that is here and not over, or NULL. */
static struct feed *find_locked(struct feeds *s, const char *room, int64_t now) NEEDS(s->lock)
{
	struct feed *f = strmap_get(&s->all, room);

	return f == NULL || expire_locked(s, f, now) ? NULL : f;
}

/* ---- joining ---- */

static int hold_locked(struct feeds *s, struct feed_asked *asked, int64_t now) NEEDS(s->lock)
{
	struct feed *f = find_locked(s, asked->room, now);

	if (f == NULL && rate_take(&s->new_rate, &s->new_full_ns, now, 1) > 0)
		return -EBUSY;
	if (f == NULL && (f = make_locked(s, asked->room, now)) == NULL)
		return -ENOMEM;
	use_locked(s, f, now);
	f->held++;
	asked->feed = f;
	return 0;
}

void feed_hold(struct feeds *s, struct feed_asked *asked, size_t n, int64_t deadline_ns)
{
	int64_t now = clock_now_ns();

	OBJ_CHECK(s, FEEDS_MAGIC);
	(void)deadline_ns; /* nothing is waited for here */
	lock_take(&s->lock);
	for (size_t i = 0; i < n; i++) {
		asked[i].feed = NULL;
		asked[i].rc = hold_locked(s, &asked[i], now);
		if (asked[i].rc < 0)
			count_by(COUNT_JOINS, asked[i].rc == -EBUSY ? JOIN_REFUSED : JOIN_UNAVAILABLE);
	}
	lock_drop(&s->lock);
}

void feed_release(struct feeds *s, struct feed **feed)
{
	struct feed *f = *feed;

	OBJ_CHECK(f, FEED_MAGIC);
	*feed = NULL;
	lock_take(&s->lock);
	BUG_UNLESS(f->held > 0);
	f->held--;
	use_locked(s, f, clock_now_ns());
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
	(void)expire_locked(s, f, clock_now_ns()); /* it is held, so it stays */
	decide_locked(f, wish, place);
	n = take_locked(&f->history, place->at, out, n_max, SIZE_MAX);
	lock_drop(&s->lock);
	return (unsigned)n;
}

int feed_decide(struct feeds *s, struct feed *f, const struct feed_wish *wish, int64_t deadline_ns,
		struct feed_place *out)
{
	(void)deadline_ns;
	(void)feed_read(s, f, wish, out, NULL, 0);
	if (out->gap)
		count_by(COUNT_STREAM_GAPS, out->cause);
	count_by(COUNT_JOINS, out->gap ? JOIN_GAP : out->replay > 0 ? JOIN_REPLAYED : JOIN_LIVE);
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

/* ---- the way down ---- */

int feed_append(struct feeds *s, const char *room, struct message *message)
{
	int64_t now = clock_now_ns();
	size_t n, bytes;
	struct feed *f;
	int rc = -ENOMEM;

	if (!feeds_keep(s, room))
		return 0;
	lock_take(&s->lock);
	if ((f = find_locked(s, room, now)) != NULL || (f = make_locked(s, room, now)) != NULL) {
		n = f->history.n;
		bytes = f->history.bytes;
		message->number = f->history.at + 1;
		rc = history_add(&f->history, message, f->type->messages, s->history_bytes);
	}
	if (rc == 0) {
		account_locked(s, f, n, bytes);
		f->was_pushed = true;
		f->pushed_ns = now;
		use_locked(s, f, now);
		make_space_locked(s, f);
	}
	lock_drop(&s->lock);
	return rc;
}

void feed_jump(struct feeds *s, const char *room, uint64_t *at)
{
	uint64_t clock = clock_us();
	struct feed *f;

	lock_take(&s->lock);
	if ((f = find_locked(s, room, clock_now_ns())) != NULL) {
		forget_history_locked(s, f);
		f->history.at = (clock > f->history.at ? clock : f->history.at) + JUMP_US;
		f->jumped = f->history.at;
		*at = f->history.at;
	}
	lock_drop(&s->lock);
}

/* ---- the end ---- */

void feeds_sweep(struct feeds *s, unsigned n)
{
	int64_t now = clock_now_ns();

	lock_take(&s->lock);
	for (; n > 0 && s->newest != NULL; n--) {
		struct feed *f = s->sweep != NULL ? s->sweep : s->oldest;

		s->sweep = f->newer;
		(void)expire_locked(s, f, now);
		if (s->sweep == NULL)
			break; /* round */
	}
	lock_drop(&s->lock);
}

void feeds_fini(struct feeds *s)
{
	OBJ_CHECK(s, FEEDS_MAGIC);
	lock_take(&s->lock);
	while (s->oldest != NULL)
		remove_locked(s, s->oldest);
	lock_drop(&s->lock);
	strmap_fini(&s->all);
	lock_fini(&s->lock);
	s->magic = 0;
}
