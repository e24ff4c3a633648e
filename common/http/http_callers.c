/* http_callers: see http_callers.h. What each request changes is atomic and its connection's own; the lock is for those who come,
 * those who go, and the watchdog. SPDX-License-Identifier: MIT */
#include "common/http/http_callers.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/strmap.h"
#include "common/base/worker.h"

#define NO_DEADLINE INT64_MAX
/* A request that is still not whole after this makes place for one of its own network, and an answer that is still not taken. */
#define SLOW_NS CLOCK_SEC
/* Of the spare places those for probes. */
#define KEPT 8

enum state { STATE_ASKING, STATE_ANSWERING, STATE_REPLYING, STATE_IDLE };

/* Those of one network. */
struct http_crowd {
	unsigned n;    /* that have a place */
	unsigned refs; /* those that were cut off included */
	char network[];
};

struct http_callers {
	unsigned magic;
#define HTTP_CALLERS_MAGIC 0xca11e125
	/* set once */
	unsigned max;
	int64_t timeout_ns, idle_ns;
	struct worker watchdog;
	/* any thread */
	atomic_bool end; /* nobody comes any more */
	atomic_uint answering;
	/* under lock */
	struct lock lock;
	pthread_cond_t left; /* the end of the server sleeps here */
	unsigned n;          /* that are here; */
	unsigned n_cut;      /* those of them that were cut off */
	struct http_caller *first;
	struct strmap crowds; /* by network */
};

/* ---- the list ---- */

static struct http_crowd *join_crowd_locked(struct http_callers *c, const char *network) NEEDS(c->lock)
{
	struct http_crowd *crowd = strmap_get(&c->crowds, network);

	if (crowd == NULL) {
		if ((crowd = calloc(1, sizeof(*crowd) + strlen(network) + 1)) == NULL)
			return NULL;
		memcpy(crowd->network, network, strlen(network));
		if (strmap_put(&c->crowds, network, crowd, NULL) < 0) {
			free(crowd);
			return NULL;
		}
	}
	crowd->refs++;
	crowd->n++;
	return crowd;
}

static void leave_crowd_locked(struct http_callers *c, struct http_crowd *crowd, bool had_place) NEEDS(c->lock)
{
	crowd->n -= had_place;
	if (--crowd->refs > 0)
		return;
	(void)strmap_del(&c->crowds, crowd->network);
	free(crowd);
}

static void link_locked(struct http_callers *c, struct http_caller *caller) NEEDS(c->lock)
{
	caller->next = c->first;
	if (c->first != NULL)
		c->first->prev = caller;
	c->first = caller;
	c->n++;
}

static void unlink_locked(struct http_callers *c, struct http_caller *caller) NEEDS(c->lock)
{
	if (caller->prev != NULL)
		caller->prev->next = caller->next;
	else
		c->first = caller->next;
	if (caller->next != NULL)
		caller->next->prev = caller->prev;
	c->n--;
	c->n_cut -= caller->cut;
}

/* ---- states ---- */

static void set_state(struct http_caller *caller, enum state state, int64_t since_ns, int64_t deadline_ns)
{
	atomic_store_explicit(&caller->since_ns, since_ns, memory_order_relaxed);
	atomic_store_explicit(&caller->deadline_ns, deadline_ns, memory_order_relaxed);
	/* In one order with c->end: either the end finds it answering, or it finds the end. */
	atomic_store(&caller->state, state);
}

bool http_caller_ask(struct http_callers *c, struct http_caller *caller)
{
	int64_t now = clock_now_ns();

	set_state(caller, STATE_ASKING, now, now + c->timeout_ns);
	return !atomic_load(&c->end);
}

int http_caller_answer(struct http_callers *c, struct http_caller *caller)
{
	set_state(caller, STATE_ANSWERING, 0, NO_DEADLINE);
	caller->answered = true;
	if (atomic_fetch_add(&c->answering, 1) >= c->max + HTTP_CALLERS_SPARE - KEPT)
		return -EBUSY;
	return atomic_load(&c->end) ? -ESHUTDOWN : 0;
}

void http_caller_reply(struct http_callers *c, struct http_caller *caller)
{
	int64_t now = clock_now_ns();

	(void)atomic_fetch_sub(&c->answering, 1);
	set_state(caller, STATE_REPLYING, now, now + HTTP_CALLER_TAKE_SECONDS * CLOCK_SEC);
}

bool http_caller_rest(struct http_callers *c, struct http_caller *caller)
{
	int64_t now = clock_now_ns();

	set_state(caller, STATE_IDLE, now, now + c->idle_ns);
	return !atomic_load(&c->end);
}

bool http_caller_is_gone(const struct http_caller *caller)
{
	struct pollfd fd = {.fd = caller->fd, .events = POLLRDHUP};

	return poll(&fd, 1, 0) > 0;
}

/* ---- the watchdog ---- */

/* Counted before the caller can see it. shutdown() does not block, and its thread then finds the end of the connection. */
static void end_late(struct http_caller *caller)
{
	if (atomic_load(&caller->state) != STATE_IDLE)
		count(COUNT_HTTP_LATE);
	atomic_store(&caller->deadline_ns, NO_DEADLINE);
	(void)shutdown(caller->fd, SHUT_RDWR);
}

/* Returns when to look again. A deadline that is set later is a whole timeout away. */
static int64_t look_at_all(struct http_callers *c)
{
	int64_t now = clock_now_ns(), look_again = now + c->timeout_ns;

	if (c->idle_ns < c->timeout_ns)
		look_again = now + c->idle_ns;
	lock_take(&c->lock);
	for (struct http_caller *caller = c->first; caller != NULL; caller = caller->next) {
		int64_t deadline = atomic_load(&caller->deadline_ns);

		if (deadline <= now)
			end_late(caller);
		else if (deadline < look_again)
			look_again = deadline;
	}
	if (c->first == NULL)
		look_again = WORKER_IDLE;
	lock_drop(&c->lock);
	return look_again;
}

static void watch(void *arg)
{
	struct http_callers *c = arg;

	OBJ_CHECK(c, HTTP_CALLERS_MAGIC);
	while (worker_wait(&c->watchdog, look_at_all(c)))
		;
}

/* ---- making place ---- */

/* Its next request may lie there already. */
static bool is_silent(const struct http_caller *caller)
{
	char byte;

	return recv(caller->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

/* For how long has it kept its place without need? The idle come before the slow; 0: it has not, or its network has less than the
 * newcomer's. */
static int64_t kept_ns(const struct http_caller *caller, const struct http_crowd *newcomers, int64_t patience_ns,
		       int64_t now)
{
	int state = atomic_load(&caller->state);
	int64_t since = atomic_load(&caller->since_ns), age = now - since + 1;

	if (since == 0 || caller->cut || caller->crowd->n < newcomers->n)
		return 0; /* 0: it is being answered, perhaps since a moment ago */
	switch (state) {
	case STATE_IDLE:
		return caller->spoke_ns != since ? INT64_MAX / 2 + age : 0;
	case STATE_ASKING:
		return age > patience_ns || caller->crowd->n > newcomers->n ? age : 0;
	case STATE_REPLYING:
		return age > SLOW_NS ? age : 0;
	default:
		return 0;
	}
}

static struct http_caller *longest_locked(struct http_callers *c, const struct http_crowd *newcomers,
					  int64_t patience_ns) NEEDS(c->lock)
{
	struct http_caller *chosen = NULL;
	int64_t now = clock_now_ns(), longest = 0;

	for (struct http_caller *caller = c->first; caller != NULL; caller = caller->next) {
		int64_t kept;

		if (chosen != NULL && caller->crowd->n < chosen->crowd->n)
			continue;
		if ((kept = kept_ns(caller, newcomers, patience_ns, now)) == 0)
			continue;
		if (chosen == NULL || caller->crowd->n > chosen->crowd->n || kept >= longest) {
			longest = kept;
			chosen = caller;
		}
	}
	return chosen;
}

/* It rests as far as we know, but its next request lies there. Remembered until its state changes. */
static bool has_spoken(struct http_caller *caller)
{
	int64_t since = atomic_load(&caller->since_ns);

	if (atomic_load(&caller->state) != STATE_IDLE || is_silent(caller))
		return false;
	caller->spoke_ns = since;
	return true;
}

/* Sockets are looked into under the lock, which all calls take: so often at most for one newcomer. */
#define LOOKS_MAX 8

/* True: there was somebody. */
static bool make_place_locked(struct http_callers *c, const struct http_crowd *newcomers, int64_t patience_ns)
	NEEDS(c->lock)
{
	struct http_caller *chosen = longest_locked(c, newcomers, patience_ns);

	for (unsigned looks = 1; chosen != NULL && has_spoken(chosen); looks++)
		chosen = looks < LOOKS_MAX ? longest_locked(c, newcomers, patience_ns) : NULL;
	if (chosen == NULL)
		return false;
	chosen->cut = true;
	chosen->crowd->n--;
	c->n_cut++;
	(void)shutdown(chosen->fd, SHUT_RDWR);
	return true;
}

/* Is there a place for one more, perhaps because another loses it? */
static bool has_place_locked(struct http_callers *c, const struct http_crowd *newcomers) NEEDS(c->lock)
{
	unsigned n = c->n - c->n_cut;

	if (n < c->max)
		return true;
	return make_place_locked(c, newcomers, n < c->max + HTTP_CALLERS_SPARE - KEPT ? SLOW_NS : 0) ||
	       n < c->max + HTTP_CALLERS_SPARE;
}

/* ---- coming and going ---- */

static int enter_locked(struct http_callers *c, struct http_caller *caller, const char *network) NEEDS(c->lock)
{
	if (atomic_load(&c->end))
		return -ESHUTDOWN;
	if ((caller->crowd = join_crowd_locked(c, network)) == NULL)
		return -ENOMEM;
	if (!has_place_locked(c, caller->crowd)) {
		leave_crowd_locked(c, caller->crowd, true);
		return -EBUSY;
	}
	link_locked(c, caller);
	return 0;
}

int http_callers_enter(struct http_callers *c, struct http_caller *caller, int fd, const char *network)
{
	bool first;
	int rc;

	*caller = (struct http_caller){.fd = fd};
	(void)http_caller_ask(c, caller);
	lock_take(&c->lock);
	first = c->first == NULL;
	rc = enter_locked(c, caller, network);
	lock_drop(&c->lock);
	if (rc == 0 && first)
		worker_wake(&c->watchdog);
	return rc;
}

void http_callers_leave(struct http_callers *c, struct http_caller *caller)
{
	/* Its bytes were no request that we were shown, or not a whole one. */
	if (!caller->answered)
		count(COUNT_HTTP_UNANSWERED);
	lock_take(&c->lock);
	unlink_locked(c, caller);
	leave_crowd_locked(c, caller->crowd, !caller->cut);
	if (c->n == 0)
		(void)pthread_cond_signal(&c->left);
	lock_drop(&c->lock);
}

/* ---- start and stop ---- */

int http_callers_start(const struct http_callers_options *opt, struct http_callers **out)
{
	struct http_callers *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->magic = HTTP_CALLERS_MAGIC;
	c->max = opt->max;
	c->timeout_ns = opt->timeout_ms * CLOCK_MS;
	c->idle_ns = opt->idle_ms * CLOCK_MS;
	lock_init(&c->lock, LOCK_SERVICE);
	lock_cond_init(&c->left);
	strmap_init(&c->crowds);
	if ((rc = worker_start(&c->watchdog, "http watchdog", watch, c)) < 0)
		http_callers_stop(&c);
	else
		*out = c;
	return rc;
}

/* Of those that are not being answered; or of all. */
static void cut_off(struct http_callers *c, bool all)
{
	lock_take(&c->lock);
	for (struct http_caller *caller = c->first; caller != NULL; caller = caller->next) {
		int state = atomic_load(&caller->state);

		if (all || state == STATE_IDLE || state == STATE_ASKING)
			(void)shutdown(caller->fd, SHUT_RDWR);
	}
	lock_drop(&c->lock);
}

void http_callers_end(struct http_callers *c)
{
	atomic_store(&c->end, true);
	cut_off(c, false);
}

void http_callers_wait_left(struct http_callers *c)
{
	int64_t deadline = clock_now_ns() + c->timeout_ns;
	bool waits = true;

	lock_take(&c->lock);
	while (c->n > 0 && waits)
		waits = lock_wait_until(&c->left, &c->lock, deadline);
	lock_drop(&c->lock);
	cut_off(c, true);
	lock_take(&c->lock);
	while (c->n > 0)
		lock_wait(&c->left, &c->lock);
	lock_drop(&c->lock);
}

void http_callers_stop(struct http_callers **callers)
{
	struct http_callers *c = *callers;

	OBJ_CHECK(c, HTTP_CALLERS_MAGIC);
	worker_stop(&c->watchdog);
	BUG_UNLESS(c->n == 0 && c->crowds.count == 0);
	strmap_fini(&c->crowds);
	(void)pthread_cond_destroy(&c->left);
	lock_fini(&c->lock);
	c->magic = 0;
	free(c);
	*callers = NULL;
}
