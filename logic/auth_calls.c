/* auth_calls: see auth_calls.h. SPDX-License-Identifier: MIT */
#include "logic/auth_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/obj.h"

/* By then the system has given up a lookup: two tries of five seconds at each of three name servers. */
#define LOOKUP_NS (30 * CLOCK_SEC)

struct auth_waiter {
	struct auth_waiter *next, *prev;
	unsigned group;
	int64_t deadline_ns;
	pthread_cond_t wake;
	bool may_call;
	void *handle;
};

int auth_calls_init(struct auth_calls *c, unsigned most, int64_t timeout_ns)
{
	*c = (struct auth_calls){.most = most, .timeout_ns = timeout_ns};
	lock_init(&c->lock, LOCK_SERVICE);
	c->idle = calloc(most, sizeof(*c->idle));
	return c->idle != NULL ? 0 : -ENOMEM;
}

void auth_calls_fini(struct auth_calls *c, void (*free_handle)(void *handle))
{
	BUG_UNLESS(c->n_idle == c->n_made && c->first == NULL);
	for (unsigned i = 0; i < c->n_idle; i++)
		free_handle(c->idle[i]);
	free(c->idle);
	lock_fini(&c->lock);
}

/* ---- who may call ---- */

/* While others wait, one has a third at most, so that what one network sends keeps nobody else out. */
static bool is_its_turn_locked(const struct auth_calls *c, unsigned group) NEEDS(c->lock)
{
	unsigned third = c->most / 3 > 0 ? c->most / 3 : 1;

	return c->under_way_of[group] < third || c->n_waiting == c->waiting_of[group];
}

/* A call may begin where there is room for one more. The hard part is the name of the back end while no name server answers.
 *
 * libcurl looks names up on threads of its own, and a thread that waits for a name server cannot be stopped: a call that times
 * out in its look-up leaves that thread behind, until the system gives the name up after LOOKUP_NS. With auth.concurrency calls
 * each timeout, their number would grow to many times auth.concurrency. So a call that was lost in this way keeps its place
 * (n_lost) until a call has found the name, or LOOKUP_NS after the last loss, when all those threads have ended.
 *
 * Once all places are lost, one call at a time still tries, or nobody would notice that names are found again. It must be one
 * that has half of its time left: a client that has waited for longer would fail for having come late, and count as one more
 * loss.
 *
 * A handle that has a connection needs no name, so that a call that gets such a handle may always go. */
static bool is_place_locked(struct auth_calls *c, int64_t deadline_ns) NEEDS(c->lock)
{
	unsigned under_way = c->n_made - c->n_idle;
	int64_t now = clock_now_ns();

	if (c->n_lost > 0 && now - c->lost_ns > LOOKUP_NS)
		c->n_lost = 0;
	if (c->n_connected > 0)
		return true;
	if (c->n_lost == 0)
		return under_way < c->most;
	return deadline_ns - now >= c->timeout_ns / 2 && under_way < (c->n_lost < c->most ? c->most - c->n_lost : 1);
}

/* The best idle handle, or NULL: one is to be made. */
static void *take_locked(struct auth_calls *c) NEEDS(c->lock)
{
	if (c->n_idle == 0) {
		c->n_made++;
		return NULL;
	}
	if (c->n_connected > 0)
		c->n_connected--;
	return c->idle[--c->n_idle];
}

static bool may_call_locked(struct auth_calls *c, unsigned group, int64_t deadline_ns) NEEDS(c->lock)
{
	return is_its_turn_locked(c, group) && is_place_locked(c, deadline_ns);
}

/* ---- those that wait ---- */

static void enter_locked(struct auth_calls *c, struct auth_waiter *w) NEEDS(c->lock)
{
	w->prev = c->last;
	if (c->last != NULL)
		c->last->next = w;
	else
		c->first = w;
	c->last = w;
	c->n_waiting++;
	c->waiting_of[w->group]++;
}

static void leave_locked(struct auth_calls *c, struct auth_waiter *w) NEEDS(c->lock)
{
	*(w->prev != NULL ? &w->prev->next : &c->first) = w->next;
	*(w->next != NULL ? &w->next->prev : &c->last) = w->prev;
	c->n_waiting--;
	c->waiting_of[w->group]--;
}

static void *begin_locked(struct auth_calls *c, unsigned group) NEEDS(c->lock)
{
	c->under_way_of[group]++;
	return take_locked(c);
}

/* A place may have become free, or somebody's turn have come: those that may call now are given their call. */
static void serve_locked(struct auth_calls *c) NEEDS(c->lock)
{
	struct auth_waiter *next;

	for (struct auth_waiter *w = c->first; w != NULL && c->n_made - c->n_idle < c->most; w = next) {
		next = w->next;
		if (!may_call_locked(c, w->group, w->deadline_ns))
			continue;
		leave_locked(c, w);
		w->handle = begin_locked(c, w->group);
		w->may_call = true;
		(void)pthread_cond_signal(&w->wake);
	}
}

static bool wait_locked(struct auth_calls *c, unsigned group, int64_t deadline_ns, void **handle) NEEDS(c->lock)
{
	struct auth_waiter w = {.group = group, .deadline_ns = deadline_ns};

	lock_cond_init(&w.wake);
	enter_locked(c, &w);
	while (!w.may_call && lock_wait_until(&w.wake, &c->lock, deadline_ns))
		;
	if (!w.may_call) {
		leave_locked(c, &w);
		serve_locked(c); /* it may have been the one for whom others waited */
	}
	(void)pthread_cond_destroy(&w.wake);
	*handle = w.handle;
	return w.may_call;
}

/* ---- calls ---- */

static unsigned group_of(uint64_t caller)
{
	return (unsigned)(caller % AUTH_CALLS_GROUPS);
}

const char *auth_calls_borrow(struct auth_calls *c, uint64_t caller, void **handle, int64_t deadline_ns)
{
	unsigned group = group_of(caller);
	bool may_call, lost;

	*handle = NULL;
	lock_take(&c->lock);
	if ((may_call = may_call_locked(c, group, deadline_ns)))
		*handle = begin_locked(c, group);
	else
		may_call = wait_locked(c, group, deadline_ns, handle);
	lost = c->n_lost > 0;
	lock_drop(&c->lock);
	if (may_call)
		return NULL;
	return lost ? "no name server answers for auth.url" : "all of auth.concurrency calls are under way";
}

void auth_calls_give_back(struct auth_calls *c, uint64_t caller, void *handle, bool connected)
{
	lock_take(&c->lock);
	c->under_way_of[group_of(caller)]--;
	if (handle == NULL) {
		c->n_made--;
	} else if (connected) {
		c->idle[c->n_idle++] = handle;
		c->n_connected++;
	} else {
		memmove(c->idle + 1, c->idle, c->n_idle++ * sizeof(*c->idle));
		c->idle[0] = handle;
	}
	serve_locked(c);
	lock_drop(&c->lock);
}

void auth_calls_found(struct auth_calls *c)
{
	lock_take(&c->lock);
	c->n_lost = 0;
	serve_locked(c);
	lock_drop(&c->lock);
}

void auth_calls_lost(struct auth_calls *c)
{
	lock_take(&c->lock);
	c->n_lost++;
	c->lost_ns = clock_now_ns();
	lock_drop(&c->lock);
}
