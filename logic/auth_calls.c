/* auth_calls: see auth_calls.h. SPDX-License-Identifier: MIT */
#include "logic/auth_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/obj.h"

/* By then the system has given up a lookup: two tries of five seconds at each of three name servers. */
#define LOOKUP_NS (30 * CLOCK_SEC)

int auth_calls_init(struct auth_calls *c, unsigned most, int64_t timeout_ns)
{
	*c = (struct auth_calls){.most = most, .timeout_ns = timeout_ns};
	lock_init(&c->lock, LOCK_SERVICE);
	lock_cond_init(&c->given_back);
	c->idle = calloc(most, sizeof(*c->idle));
	return c->idle != NULL ? 0 : -ENOMEM;
}

void auth_calls_fini(struct auth_calls *c, void (*free_handle)(void *handle))
{
	BUG_UNLESS(c->n_idle == c->n_made);
	for (unsigned i = 0; i < c->n_idle; i++)
		free_handle(c->idle[i]);
	free(c->idle);
	(void)pthread_cond_destroy(&c->given_back);
	lock_fini(&c->lock);
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
static bool may_call_locked(struct auth_calls *c, int64_t deadline_ns) NEEDS(c->lock)
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

const char *auth_calls_borrow(struct auth_calls *c, int64_t deadline_ns, void **handle)
{
	bool may_call, lost;

	*handle = NULL;
	lock_take(&c->lock);
	while (!(may_call = may_call_locked(c, deadline_ns)) && lock_wait_until(&c->given_back, &c->lock, deadline_ns))
		;
	lost = c->n_lost > 0;
	if (may_call)
		*handle = take_locked(c);
	lock_drop(&c->lock);
	if (may_call)
		return NULL;
	/* We may have swallowed a signal as we timed out: pass it to the next waiter. */
	(void)pthread_cond_signal(&c->given_back);
	return lost ? "no name server answers for auth.url" : "all of auth.concurrency calls are under way";
}

void auth_calls_give_back(struct auth_calls *c, void *handle, bool connected)
{
	bool lost;

	lock_take(&c->lock);
	if (handle == NULL) {
		c->n_made--;
	} else if (connected) {
		c->idle[c->n_idle++] = handle;
		c->n_connected++;
	} else {
		memmove(c->idle + 1, c->idle, c->n_idle++ * sizeof(*c->idle));
		c->idle[0] = handle;
	}
	lost = c->n_lost > 0;
	lock_drop(&c->lock);
	/* While names are lost a waiting call may lack the time to try (see above): wake all, so that one with time hears of it. */
	if (lost)
		(void)pthread_cond_broadcast(&c->given_back);
	else
		(void)pthread_cond_signal(&c->given_back);
}

void auth_calls_found(struct auth_calls *c)
{
	bool lost;

	lock_take(&c->lock);
	lost = c->n_lost > 0;
	c->n_lost = 0;
	lock_drop(&c->lock);
	if (lost)
		(void)pthread_cond_broadcast(&c->given_back);
}

void auth_calls_lost(struct auth_calls *c)
{
	lock_take(&c->lock);
	c->n_lost++;
	c->lost_ns = clock_now_ns();
	lock_drop(&c->lock);
}
