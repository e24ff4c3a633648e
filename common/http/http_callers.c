/* http_callers: see http_callers.h. libmicrohttpd knows how long a connection has been idle, but not how long a request
 * takes that comes a byte at a time: the watchdog thread does. SPDX-License-Identifier: MIT */
#include "common/http/http_callers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/worker.h"

#define NO_DEADLINE INT64_MAX

struct http_caller {
	struct http_caller *next, *prev;
	int fd;
	bool begun;
	bool answering;      /* or the answer is on its way */
	bool answered;       /* once at least */
	bool making_room;    /* cut off for one that waits */
	int64_t idle_ns;     /* since when it has been between two requests; 0: it is not */
	int64_t asking_ns;   /* since when the request that is not answered yet has been on its way */
	int64_t deadline_ns; /* for the request that is read, or the answer that is taken */
};

struct http_callers {
	unsigned magic;
#define HTTP_CALLERS_MAGIC 0xca11e125
	/* set once */
	unsigned max;
	int64_t timeout_ns;
	struct worker watchdog;
	/* under lock */
	struct lock lock;
	pthread_cond_t left;     /* callers that want in sleep here, */
	pthread_cond_t answered; /* and the end of the server, here */
	bool end;                /* nobody comes any more */
	unsigned n;
	unsigned answering;
	unsigned waiting;     /* for a place */
	unsigned making_room; /* of those who are here */
	struct http_caller *first;
};

/* ---- the list ---- */

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
	c->making_room -= caller->making_room;
}

/* ---- the watchdog ---- */

/* A late one's request is cut off; one that never began to be served, because there was no memory for it, is not there at
 * all, and its descriptor may be another's by now. shutdown() does not block. */
static void end_late_locked(struct http_callers *c, struct http_caller *caller) NEEDS(c->lock)
{
	if (caller->begun) {
		(void)shutdown(caller->fd, SHUT_RDWR);
		caller->deadline_ns = NO_DEADLINE;
		count(COUNT_HTTP_LATE);
		return;
	}
	unlink_locked(c, caller);
	free(caller);
	(void)pthread_cond_signal(&c->left);
}

/* Returns when to look again. A deadline that is set later is a whole timeout away. */
static int64_t look_at_all(struct http_callers *c)
{
	int64_t now = clock_now_ns(), look_again = now + c->timeout_ns;
	struct http_caller *next;

	lock_take(&c->lock);
	for (struct http_caller *caller = c->first; caller != NULL; caller = next) {
		next = caller->next;
		if (caller->deadline_ns <= now)
			end_late_locked(c, caller);
		else if (caller->deadline_ns < look_again)
			look_again = caller->deadline_ns;
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

/* ---- making space ---- */

/* Its next request may lie there already. */
static bool is_silent(const struct http_caller *caller)
{
	char byte;

	return recv(caller->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

/* A request that is still not whole after this has to make place where others wait for it. */
#define SLOW_NS CLOCK_SEC

/* For how long has it kept its place without need? The idle come before the slow; 0: it has not. */
static int64_t kept_ns(const struct http_caller *caller, int64_t now)
{
	if (!caller->begun || caller->answering || caller->making_room)
		return 0;
	if (caller->idle_ns != 0)
		return is_silent(caller) ? INT64_MAX / 2 + (now - caller->idle_ns) : 0;
	return now - caller->asking_ns >= SLOW_NS ? now - caller->asking_ns : 0;
}

/* Somebody waits: cut off the caller that has been idle longest, as any server may between two requests, or whose request takes
 * longest to come. A probe of /healthz is not to wait for the patience that keeps them. Neither call blocks. */
static void make_room_locked(struct http_callers *c) NEEDS(c->lock)
{
	struct http_caller *chosen = NULL;
	int64_t now = clock_now_ns(), longest = 0;

	for (struct http_caller *caller = c->first; caller != NULL; caller = caller->next) {
		int64_t kept = kept_ns(caller, now);

		if (kept > longest) {
			longest = kept;
			chosen = caller;
		}
	}
	if (chosen == NULL)
		return;
	chosen->making_room = true;
	c->making_room++;
	(void)shutdown(chosen->fd, SHUT_RDWR);
}

/* A caller that leaves or becomes idle wakes us; one that has become slow does not. */
static void wait_for_room_locked(struct http_callers *c) NEEDS(c->lock)
{
	c->waiting++;
	while (!c->end && c->n >= c->max) {
		if (c->making_room < c->waiting)
			make_room_locked(c);
		(void)lock_wait_until(&c->left, &c->lock, clock_now_ns() + SLOW_NS);
	}
	c->waiting--;
}

/* ---- coming and going ---- */

int http_callers_enter(struct http_callers *c, int fd)
{
	struct http_caller *caller = calloc(1, sizeof(*caller));
	bool end, first;

	if (caller == NULL)
		return -ENOMEM;
	caller->fd = fd;
	lock_take(&c->lock);
	wait_for_room_locked(c);
	end = c->end;
	first = c->first == NULL;
	caller->asking_ns = clock_now_ns();
	caller->deadline_ns = caller->asking_ns + c->timeout_ns;
	if (!end)
		link_locked(c, caller);
	lock_drop(&c->lock);
	if (end) {
		free(caller);
		return -ESHUTDOWN;
	}
	if (first)
		worker_wake(&c->watchdog);
	return 0;
}

struct http_caller *http_callers_begin(struct http_callers *c, int fd)
{
	struct http_caller *caller;

	lock_take(&c->lock);
	/* The newest first: an older one with the same descriptor never began, and never will. */
	for (caller = c->first; caller != NULL && (caller->begun || caller->fd != fd); caller = caller->next)
		;
	if (caller != NULL)
		caller->begun = true;
	lock_drop(&c->lock);
	return caller;
}

void http_callers_leave(struct http_callers *c, struct http_caller *caller)
{
	if (caller == NULL)
		return;
	lock_take(&c->lock);
	unlink_locked(c, caller);
	lock_drop(&c->lock);
	(void)pthread_cond_signal(&c->left);
	/* Its bytes were no request that we were shown, or not a whole one. */
	if (!caller->answered)
		count(COUNT_HTTP_UNANSWERED);
	free(caller);
}

/* ---- requests ---- */

void http_caller_ask(struct http_callers *c, struct http_caller *caller)
{
	lock_take(&c->lock);
	caller->idle_ns = 0;
	caller->asking_ns = clock_now_ns();
	if (caller->deadline_ns > caller->asking_ns + c->timeout_ns)
		caller->deadline_ns = caller->asking_ns + c->timeout_ns;
	lock_drop(&c->lock);
}

bool http_caller_answer(struct http_callers *c, struct http_caller *caller)
{
	bool end;

	lock_take(&c->lock);
	end = c->end;
	if (!end) {
		c->answering++;
		caller->answering = true;
		caller->deadline_ns = NO_DEADLINE;
	}
	lock_drop(&c->lock);
	return !end;
}

void http_caller_reply(struct http_callers *c, struct http_caller *caller)
{
	lock_take(&c->lock);
	caller->answered = true;
	caller->deadline_ns = clock_now_ns() + HTTP_CALLER_IDLE_SECONDS * CLOCK_SEC;
	lock_drop(&c->lock);
}

void http_caller_done(struct http_callers *c, struct http_caller *caller, bool answered)
{
	bool last, waited_for;

	lock_take(&c->lock);
	waited_for = c->waiting > 0;
	if (answered)
		c->answering--;
	last = c->answering == 0;
	if (caller != NULL) {
		caller->answering = false;
		caller->idle_ns = clock_now_ns();
		caller->deadline_ns = caller->idle_ns + HTTP_CALLER_IDLE_SECONDS * CLOCK_SEC + c->timeout_ns;
		if (c->end)
			(void)shutdown(caller->fd, SHUT_RDWR);
	}
	lock_drop(&c->lock);
	if (last)
		(void)pthread_cond_signal(&c->answered);
	if (waited_for)
		(void)pthread_cond_signal(&c->left);
}

/* ---- start and stop ---- */

int http_callers_start(unsigned max, int64_t timeout_ms, struct http_callers **out)
{
	struct http_callers *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->magic = HTTP_CALLERS_MAGIC;
	c->max = max;
	c->timeout_ns = timeout_ms * CLOCK_MS;
	lock_init(&c->lock, LOCK_SERVICE);
	lock_cond_init(&c->left);
	lock_cond_init(&c->answered);
	if ((rc = worker_start(&c->watchdog, "http watchdog", watch, c)) < 0)
		http_callers_stop(&c);
	else
		*out = c;
	return rc;
}

void http_callers_end(struct http_callers *c)
{
	lock_take(&c->lock);
	c->end = true;
	for (struct http_caller *caller = c->first; caller != NULL; caller = caller->next)
		if (caller->begun && !caller->answering)
			(void)shutdown(caller->fd, SHUT_RDWR);
	lock_drop(&c->lock);
	(void)pthread_cond_broadcast(&c->left);
}

void http_callers_wait_answered(struct http_callers *c)
{
	int64_t deadline = clock_now_ns() + c->timeout_ns;

	lock_take(&c->lock);
	while (c->answering > 0 && lock_wait_until(&c->answered, &c->lock, deadline))
		;
	lock_drop(&c->lock);
}

void http_callers_stop(struct http_callers **callers)
{
	struct http_callers *c = *callers;

	OBJ_CHECK(c, HTTP_CALLERS_MAGIC);
	worker_stop(&c->watchdog);
	while (c->first != NULL) /* those that never began */
		http_callers_leave(c, c->first);
	(void)pthread_cond_destroy(&c->left);
	(void)pthread_cond_destroy(&c->answered);
	lock_fini(&c->lock);
	c->magic = 0;
	free(c);
	*callers = NULL;
}
