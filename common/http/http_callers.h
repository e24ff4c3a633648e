/* http_callers: the connections of the HTTP server: how many at one time, which of them takes too long over a request, and
 * how many requests are being answered. It knows descriptors, and nothing of HTTP. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_CALLERS_H
#define COMMON_HTTP_HTTP_CALLERS_H

#include <stdbool.h>
#include <stdint.h>

struct http_callers;
struct http_caller;

/* Room for `max` callers, each with timeout_ms for a request; starts the watchdog thread. 0, -EAGAIN, -ENOMEM. */
int http_callers_start(unsigned max, int64_t timeout_ms, struct http_callers **out);
/* After http_callers_end, when all have left; joins the watchdog. *c becomes NULL. */
void http_callers_stop(struct http_callers **c);

/* From now on nobody enters and no further request is answered: callers that wait in enter return, and one that has no answer
 * under way is cut off. */
void http_callers_end(struct http_callers *c);
/* After http_callers_end: returns when the answers under way are out, or timeout_ms later. */
void http_callers_wait_answered(struct http_callers *c);

/* One more caller, on this descriptor. While all places are taken, the caller that has been idle longest between two requests is
 * cut off; where nobody is, it waits: its bound is the deadlines of those who are here.
 *   0           it has the place, for timeout_ms at first: one that does not begin until then is forgotten
 *   -ESHUTDOWN  http_callers_end was called
 *   -ENOMEM */
int http_callers_enter(struct http_callers *c, int fd);
/* The caller whose descriptor this is begins to be served. NULL: it was forgotten, do not serve it. */
struct http_caller *http_callers_begin(struct http_callers *c, int fd);
/* Before its descriptor is closed, so that no other caller's connection is ended in its place. */
void http_callers_leave(struct http_callers *c, struct http_caller *caller);

/* The first line of its next request has come: it is idle no more, and has timeout_ms for the rest. */
void http_caller_ask(struct http_callers *c, struct http_caller *caller);
/* Its request is there, and the handler has no deadline here. False: the program ends, do not answer. */
bool http_caller_answer(struct http_callers *c, struct http_caller *caller);
/* The answer is ready: from now on the caller has HTTP_CALLER_IDLE_SECONDS to take it. */
void http_caller_reply(struct http_callers *c, struct http_caller *caller);
/* The request is over; `answered` says that http_caller_answer said yes to it. The next one may come. caller may be NULL. */
void http_caller_done(struct http_callers *c, struct http_caller *caller, bool answered);

/* How long a caller may keep its connection without asking anything, where nobody waits for a place. */
#define HTTP_CALLER_IDLE_SECONDS 60

#endif
