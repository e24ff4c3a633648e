/* http_callers: the connections of the HTTP server: how many at one time, from which networks, and which of them takes too long. It
 * knows descriptors, and nothing of HTTP. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_CALLERS_H
#define COMMON_HTTP_HTTP_CALLERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct http_callers;
struct http_crowd;

/* One connection. The fields are http_callers.c's. */
struct http_caller {
	/* set once */
	int fd;
	struct http_crowd *crowd; /* those of its network */
	/* set by the thread that serves it, read by any */
	atomic_int state;
	_Atomic int64_t since_ns;    /* the start of the state */
	_Atomic int64_t deadline_ns; /* its end */
	bool answered;               /* once at least */
	/* under the callers' lock */
	bool cut;         /* off, for one that came later */
	int64_t spoke_ns; /* since_ns of a rest in which its next request had come, and nobody had read it yet */
	struct http_caller *next, *prev;
};

struct http_callers_options {
	unsigned max;       /* at one time; some more while nobody can make place, for probes above all */
	int64_t timeout_ms; /* for a request */
	int64_t idle_ms;    /* between two requests */
};

/* Start the watchdog thread. 0, -EAGAIN, -ENOMEM. */
int http_callers_start(const struct http_callers_options *opt, struct http_callers **out);
/* After http_callers_end, when all have left; joins the watchdog. *c becomes NULL. */
void http_callers_stop(struct http_callers **c);

/* From now on nobody enters, no further request is answered, and those that have no answer under way are cut off. */
void http_callers_end(struct http_callers *c);
/* After http_callers_end: returns when all have left. Those who do not take their answers are cut off a timeout later; handlers have
 * deadlines of their own. */
void http_callers_wait_left(struct http_callers *c);

/* One more caller, on this descriptor, from this network (common/base/peer.h). Never waits. While all places are taken, one of the
 * network that has the most is cut off: the one that has been idle longest between two requests, or else the one whose request
 * takes longest to come, or that takes longest to take its answer.
 *   0           it has a place, and a timeout for its first request
 *   -EBUSY      it has none: all are being answered, or are of networks that have fewer
 *   -ESHUTDOWN  http_callers_end was called
 *   -ENOMEM */
int http_callers_enter(struct http_callers *c, struct http_caller *caller, int fd, const char *network);
/* Before its descriptor is closed, so that no other caller's connection is ended in its place. */
void http_callers_leave(struct http_callers *c, struct http_caller *caller);

/* The first byte of its next request has come: it has a timeout for the rest. False: the program ends. */
bool http_caller_ask(struct http_callers *c, struct http_caller *caller);
/* Its request is there, and the handler has no deadline here.
 *   0           go on
 *   -ESHUTDOWN  the program ends, do not answer
 *   -EBUSY      so many are being answered that the last places are kept for probes: refuse others */
int http_caller_answer(struct http_callers *c, struct http_caller *caller);
/* The answer is ready: from now on the caller has HTTP_CALLER_TAKE_SECONDS to take it. */
void http_caller_reply(struct http_callers *c, struct http_caller *caller);
/* The answer was taken. False: the program ends, no next request may come. */
bool http_caller_rest(struct http_callers *c, struct http_caller *caller);

/* Has its end of the connection gone, or half of it? Any thread that serves it. */
bool http_caller_is_gone(const struct http_caller *caller);

#define HTTP_CALLER_TAKE_SECONDS 60
/* Places beyond the maximum, for a burst for which nobody makes place yet; the last of them are for probes. */
#define HTTP_CALLERS_SPARE 64

#endif
