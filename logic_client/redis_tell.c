/* redis_tell: see redis_tell.h. One thread, which has a batch of requests under way at a time.
 * SPDX-License-Identifier: MIT */
#include "logic_client/redis_tell.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/worker.h"

/* Disconnects and renewals that may wait for a logic; all connections of a comet can end while no logic is up. */
#define UNTOLD_MAX 1000000
/* Fewer renewals may wait: each comes again with the next heartbeat, and a disconnect does not. */
#define RENEWALS_MAX (UNTOLD_MAX / 2)
/* And few of clients who are not in, and come again and again while Redis is away or logic overloaded: mostly there is nothing to forget,
 * and others wait behind them. */
#define UNHEARD_MAX 16384
/* So many of them under way at a time. */
#define BATCH 256
/* Logic cannot carry out a request that failed so often while others were confirmed. */
#define TRIES_MAX 20

struct untold {
	struct untold *next;
	enum wire_method method;
	struct seat seat;
	uint64_t number;
	unsigned tries; /* in vain, while others were told */
};

/* One of a batch. */
struct telling {
	struct untold *what; /* NULL: it is done with */
	bool is_unheard;
	struct redis_asking asking;
	bool is_asked;
};

struct redis_tell {
	unsigned magic;
#define REDIS_TELL_MAGIC 0x7e115000
	/* set once */
	const struct config *cfg;
	struct redis_calls *calls;
	struct worker worker;
	/* the worker's */
	struct telling *batch;
	/* under lock */
	struct lock lock;
	struct untold *first, *last;
	size_t n;           /* with those under way ... */
	size_t n_unheard;   /* ... and of SEAT_ANY_SESSION */
	uint64_t numbers;   /* the last one given */
	uint64_t under_way; /* of the first of the batch, 0: there is none */
};

static void say_lost(const char *key, const char *why)
{
	static struct log_limit limit = LOG_LIMIT(1);

	count(COUNT_UNSENT_LOST);
	LOG_LIMITED(LOG_WARN, &limit, log_str("key", key), log_what(EVENT_LOGIC_NOT_TOLD), log_str("why", why));
}

static struct untold *untold_new(enum wire_method method, const struct seat *seat)
{
	struct untold *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->method = method;
	if (seat_copy(seat, &u->seat) < 0) {
		free(u);
		return NULL;
	}
	return u;
}

static void untold_free(struct untold *u)
{
	seat_fini(&u->seat);
	free(u);
}

static bool is_unheard(const struct untold *u)
{
	return u->seat.session_id == SEAT_ANY_SESSION;
}

static bool put_locked(struct redis_tell *t, struct untold *u) NEEDS(t->lock)
{
	if (t->n >= (u->method == WIRE_HEARTBEAT ? RENEWALS_MAX : UNTOLD_MAX) ||
	    (is_unheard(u) && t->n_unheard >= UNHEARD_MAX))
		return false;
	if (t->last != NULL)
		t->last->next = u;
	else
		t->first = u;
	t->last = u;
	t->n++;
	t->n_unheard += is_unheard(u);
	u->number = ++t->numbers;
	return true;
}

int redis_tell_add(struct redis_tell *t, enum wire_method method, const struct seat *seat)
{
	struct untold *u = untold_new(method, seat);
	bool taken;

	OBJ_CHECK(t, REDIS_TELL_MAGIC);
	if (u == NULL) {
		say_lost(seat->key, "no memory");
		return -ENOMEM;
	}
	lock_take(&t->lock);
	taken = put_locked(t, u);
	lock_drop(&t->lock);
	if (!taken) {
		untold_free(u);
		say_lost(seat->key, "too many wait already");
		return -ENOBUFS;
	}
	count(COUNT_UNSENT);
	worker_wake(&t->worker);
	return 0;
}

void redis_tell_forget(struct redis_tell *t, const char *key)
{
	(void)redis_tell_add(t, WIRE_DISCONNECT, &(struct seat){.key = key, .session_id = SEAT_ANY_SESSION});
}

void redis_tell_kicked(struct redis_tell *t, const struct wire_push *kick)
{
	for (size_t i = 0; kick->reason != WIRE_REPLACED && kick->sessions != NULL && i < kick->n_keys; i++)
		if (kick->sessions[i] != 0)
			(void)redis_tell_add(t, WIRE_DISCONNECT,
					     &(struct seat){.key = kick->keys[i], .session_id = kick->sessions[i]});
}

size_t redis_tell_count(struct redis_tell *t)
{
	size_t n;

	OBJ_CHECK(t, REDIS_TELL_MAGIC);
	lock_take(&t->lock);
	n = t->n;
	lock_drop(&t->lock);
	return n;
}

uint64_t redis_tell_last(struct redis_tell *t)
{
	uint64_t last;

	OBJ_CHECK(t, REDIS_TELL_MAGIC);
	lock_take(&t->lock);
	last = t->numbers;
	lock_drop(&t->lock);
	return last;
}

bool redis_tell_has_told(struct redis_tell *t, uint64_t number)
{
	uint64_t oldest;

	OBJ_CHECK(t, REDIS_TELL_MAGIC);
	lock_take(&t->lock);
	/* Requests that come back from a batch go to the front. */
	oldest = t->under_way != 0 ? t->under_way : t->first != NULL ? t->first->number : UINT64_MAX;
	lock_drop(&t->lock);
	return oldest > number;
}

/* ---- the worker ---- */

/* Up to BATCH of those that wait; they stay counted until they are told. */
static size_t take_batch(struct redis_tell *t, struct telling *batch)
{
	size_t n = 0;

	lock_take(&t->lock);
	for (; n < BATCH && t->first != NULL; n++) {
		batch[n] = (struct telling){.what = t->first, .is_unheard = is_unheard(t->first)};
		t->first = t->first->next;
		if (t->first == NULL)
			t->last = NULL;
	}
	t->under_way = n > 0 ? batch[0].what->number : 0;
	lock_drop(&t->lock);
	return n;
}

static bool begin_one(struct redis_tell *t, struct telling *one, int64_t deadline_ns)
{
	struct wire_request request = {.method = one->what->method, .seat = one->what->seat};

	one->is_asked = redis_calls_begin(t->calls, &request, deadline_ns, &one->asking) == 0;
	return one->is_asked;
}

/* Was it told? */
static bool end_one(struct redis_tell *t, struct telling *one, int64_t deadline_ns)
{
	struct wire_reply reply;
	bool told;

	if (!one->is_asked || redis_calls_end(t->calls, &one->asking, deadline_ns, &reply) < 0)
		return false;
	told = reply.rc == 0;
	wire_reply_fini(&reply);
	return told;
}

/* Take out requests that were confirmed, and hopeless ones. */
static void take_done(struct telling *batch, size_t n, const bool told[BATCH])
{
	size_t n_told = 0;

	for (size_t i = 0; i < n; i++)
		n_told += told[i];
	for (size_t i = 0; i < n; i++) {
		struct untold *u = batch[i].what;

		if (!told[i] && (n_told == 0 || !batch[i].is_asked || ++u->tries < TRIES_MAX))
			continue;
		if (!told[i])
			say_lost(u->seat.key, "logic confirms others, and not this one");
		untold_free(u);
		batch[i].what = NULL;
	}
}

/* The rest goes to the front again, in its order. */
static void put_back(struct redis_tell *t, struct telling *batch, size_t n)
{
	size_t done = 0;

	lock_take(&t->lock);
	while (n-- > 0) {
		struct untold *u = batch[n].what;

		if (u == NULL) {
			done++;
			t->n_unheard -= batch[n].is_unheard;
			continue;
		}
		u->next = t->first;
		t->first = u;
		if (t->last == NULL)
			t->last = u;
	}
	t->n -= done;
	t->under_way = 0;
	lock_drop(&t->lock);
	count_add(COUNT_UNSENT, -(int64_t)done);
}

/* True if all were told. */
static bool tell_batch(struct redis_tell *t, struct telling *batch, size_t n)
{
	int64_t deadline = clock_now_ns() + t->cfg->logic_timeout * CLOCK_MS;
	bool told[BATCH] = {false}, all = true;

	for (size_t i = 0; i < n && all; i++)
		all = begin_one(t, &batch[i], deadline);
	for (size_t i = 0; i < n; i++) {
		told[i] = end_one(t, &batch[i], deadline);
		all = all && told[i];
	}
	take_done(batch, n, told);
	put_back(t, batch, n);
	return all;
}

static void keep_telling(void *arg)
{
	const int64_t rest_ns = 100 * CLOCK_MS; /* after a failure, which _begin has mostly waited out */
	struct redis_tell *t = arg;
	size_t n;

	OBJ_CHECK(t, REDIS_TELL_MAGIC);
	while (worker_wait(&t->worker, WORKER_IDLE))
		while (!worker_is_stopping(&t->worker) && (n = take_batch(t, t->batch)) > 0)
			if (!tell_batch(t, t->batch, n))
				(void)worker_nap(&t->worker, clock_now_ns() + rest_ns);
}

/* ---- start and stop ---- */

int redis_tell_start(const struct config *cfg, struct redis_calls *calls, struct redis_tell **out)
{
	struct redis_tell *t = calloc(1, sizeof(*t));
	int rc;

	if (t == NULL)
		return -ENOMEM;
	t->magic = REDIS_TELL_MAGIC;
	t->cfg = cfg;
	t->calls = calls;
	lock_init(&t->lock, LOCK_SERVICE);
	t->batch = calloc(BATCH, sizeof(*t->batch));
	rc = t->batch != NULL ? worker_start(&t->worker, "tell logic", keep_telling, t) : -ENOMEM;
	if (rc < 0) {
		redis_tell_stop(&t);
		return rc;
	}
	*out = t;
	return 0;
}

void redis_tell_stop(struct redis_tell **tell)
{
	struct redis_tell *t = *tell;
	struct untold *u;

	OBJ_CHECK(t, REDIS_TELL_MAGIC);
	worker_stop(&t->worker);
	count_add(COUNT_UNSENT, -(int64_t)t->n);
	while ((u = t->first) != NULL) {
		t->first = u->next;
		untold_free(u);
	}
	free(t->batch);
	lock_fini(&t->lock);
	t->magic = 0;
	free(t);
	*tell = NULL;
}
