/* redis_tell: see redis_tell.h. One thread, which has a batch of requests under way at a time.
 * SPDX-License-Identifier: MIT */
#include "logic_client/redis_tell.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/counters.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/obj.h"
#include "common/thread.h"

/* Disconnects and renewals that may wait for a logic service; a comet's connections can all end while there is none. */
#define UNTOLD_MAX 1000000
/* Of renewals fewer: each comes again with the next heartbeat, and a disconnect does not. */
#define RENEWALS_MAX (UNTOLD_MAX / 2)
/* So many of them under way at a time. */
#define BATCH 256

struct untold {
	struct untold *next;
	enum wire_method method;
	uint64_t session_id;
	int64_t mid;
	char key[];
};

struct redis_tell {
	unsigned magic;
#define REDIS_TELL_MAGIC 0x7e115000
	/* set once */
	const struct config *cfg;
	struct redis_calls *calls;
	struct thread *thread;
	/* under lock */
	struct lock lock;
	pthread_cond_t wake; /* there is something to tell, or its end */
	bool stop;
	struct untold *first, *last;
	size_t n; /* with those under way */
};

static void say_lost(const char *key)
{
	static struct log_limit limit = LOG_LIMIT(1);

	count(COUNT_UNSENT_LOST);
	LOG_LIMITED(LOG_WARN, &limit, log_str("key", key), log_what("logic will not be told: too many wait already"));
}

static bool put_locked(struct redis_tell *t, struct untold *u) NEEDS(t->lock)
{
	if (t->n >= (u->method == WIRE_HEARTBEAT ? RENEWALS_MAX : UNTOLD_MAX))
		return false;
	if (t->last != NULL)
		t->last->next = u;
	else
		t->first = u;
	t->last = u;
	t->n++;
	return true;
}

int redis_tell_add(struct redis_tell *t, enum wire_method method, const char *key, uint64_t session_id, int64_t mid)
{
	size_t bytes = strlen(key) + 1;
	struct untold *u = malloc(sizeof(*u) + bytes);
	bool taken;

	OBJ_CHECK(t, REDIS_TELL_MAGIC);
	if (u == NULL) {
		say_lost(key);
		return -ENOMEM;
	}
	*u = (struct untold){.method = method, .session_id = session_id, .mid = mid};
	memcpy(u->key, key, bytes);
	lock_take(&t->lock);
	taken = put_locked(t, u);
	lock_drop(&t->lock);
	if (!taken) {
		free(u);
		say_lost(key);
		return -ENOBUFS;
	}
	count(COUNT_UNSENT);
	(void)pthread_cond_signal(&t->wake);
	return 0;
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

/* ---- the thread ---- */

/* One of a batch. */
struct telling {
	struct untold *what; /* NULL: it was told */
	struct redis_asking asking;
	bool is_asked;
};

/* Up to BATCH of those that wait; they stay counted until they are told. 0: stopping. */
static size_t take_batch(struct redis_tell *t, struct telling *batch)
{
	size_t n = 0;

	lock_take(&t->lock);
	/* redis_tell_stop ends this wait at the latest. */
	while (t->first == NULL && !t->stop)
		lock_wait(&t->wake, &t->lock);
	for (; !t->stop && n < BATCH && t->first != NULL; n++) {
		batch[n] = (struct telling){.what = t->first};
		t->first = t->first->next;
		if (t->first == NULL)
			t->last = NULL;
	}
	lock_drop(&t->lock);
	return n;
}

static bool begin_one(struct redis_tell *t, struct telling *one, int64_t deadline_ns)
{
	struct wire_request request = {
		.method = one->what->method,
		.key = one->what->key,
		.session_id = one->what->session_id,
		.mid = one->what->mid,
	};

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

/* What was not told goes to the front again, in its order. */
static void put_back(struct redis_tell *t, struct telling *batch, size_t n)
{
	size_t told = 0;

	lock_take(&t->lock);
	while (n-- > 0) {
		struct untold *u = batch[n].what;

		if (u == NULL) {
			told++;
			continue;
		}
		u->next = t->first;
		t->first = u;
		if (t->last == NULL)
			t->last = u;
	}
	t->n -= told;
	lock_drop(&t->lock);
	count_add(COUNT_UNSENT, -(int64_t)told);
}

/* True if all were told. */
static bool tell_batch(struct redis_tell *t, struct telling *batch, size_t n)
{
	int64_t deadline = clock_now_ns() + t->cfg->logic_timeout * CLOCK_MS;
	bool all = true;

	for (size_t i = 0; i < n && all; i++)
		all = begin_one(t, &batch[i], deadline);
	for (size_t i = 0; i < n; i++)
		if (end_one(t, &batch[i], deadline)) {
			free(batch[i].what);
			batch[i].what = NULL;
		} else {
			all = false;
		}
	put_back(t, batch, n);
	return all;
}

static void *keep_telling(void *arg)
{
	const int64_t rest_ns = 100 * CLOCK_MS; /* after a failure, which _begin has mostly waited out */
	struct redis_tell *t = arg;
	struct telling *batch = calloc(BATCH, sizeof(*batch));
	size_t n;

	OBJ_CHECK(t, REDIS_TELL_MAGIC);
	if (batch == NULL)
		LOG(LOG_ERROR, log_what("no memory to tell logic of disconnects; registrations run out by themselves"));
	while (batch != NULL && (n = take_batch(t, batch)) > 0) {
		int64_t until = clock_now_ns() + rest_ns;

		if (tell_batch(t, batch, n))
			continue;
		lock_take(&t->lock);
		while (!t->stop && lock_wait_until(&t->wake, &t->lock, until))
			;
		lock_drop(&t->lock);
	}
	free(batch);
	return NULL;
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
	lock_cond_init(&t->wake);
	if ((rc = thread_spawn(THREAD_SERVICE, "tell logic", keep_telling, t, &t->thread)) < 0) {
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
	lock_take(&t->lock);
	t->stop = true;
	lock_drop(&t->lock);
	(void)pthread_cond_broadcast(&t->wake);
	if (t->thread != NULL)
		thread_join(&t->thread);
	count_add(COUNT_UNSENT, -(int64_t)t->n);
	while ((u = t->first) != NULL) {
		t->first = u->next;
		free(u);
	}
	(void)pthread_cond_destroy(&t->wake);
	lock_fini(&t->lock);
	t->magic = 0;
	free(t);
	*tell = NULL;
}
