/* redis: one connection to Redis, for one thread. It connects by itself when it is used, to the address or to the master
 * that the Sentinels name; after a failure it waits longer and longer, with jitter, before it tries again. Every call has
 * a deadline, with two exceptions: see redis_ready.h. Commands that many threads share go through common/redis/redis_pipe.h.
 *
 * hiredis 0.14 speaks neither TLS nor RESP3; docs/operations.md shows the tunnel. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_H
#define COMMON_REDIS_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis/redis_options.h"
#include "common/redis/redis_reply.h"

struct redisReply; /* hiredis/read.h; freed with freeReplyObject */

struct redis;

/* Not connected yet; opt's strings outlive it. 0, -ENOMEM, -errno (no descriptor for its wake-up). */
int redis_new(const struct redis_options *opt, struct redis **out);
void redis_free(struct redis **r);

/* Make every call that waits, and every later one, return -ESHUTDOWN. Any thread. */
void redis_stop(struct redis *r);

/* Is there a connection? (The peer may be gone all the same.) */
bool redis_is_connected(const struct redis *r);
/* Is it of no use, for so long now? Not connected, or, where it listens, not subscribed. Then the words are about what Redis said
 * when it refused something last, or why it could not be reached; otherwise they stay as they are. Any thread. */
bool redis_is_down(struct redis *r, int64_t for_ns, char *words, size_t bytes);
/* Give the connection up; `why` goes into the log. The next redis_ready makes a new one. */
void redis_drop(struct redis *r, const char *why);
/* The same for an error: why has the words of Redis, where the last reply was an error. */
void redis_drop_refused(struct redis *r, int rc);

/* Queue a command (redisFormatCommand's bytes, or printf-like with %s and %b). 0 or -ENOMEM. */
int redis_append(struct redis *r, const char *command, size_t bytes);
int redis_appendf(struct redis *r, const char *format, ...);
/* Write what is queued. 0; -ETIMEDOUT, -errno: the connection was dropped. */
int redis_flush(struct redis *r);
/* The next reply of the connection.
 *   0           *reply is the caller's; it may be an error of Redis's: see redis_reply.h
 *   -ETIMEDOUT  none until the deadline; the connection is as it was
 *   -ESHUTDOWN  stopped
 *   -ENOTCONN, -ECONNRESET, -ENOMEM, -EPROTO, poll's errors  the connection was dropped */
int redis_read(struct redis *r, int64_t deadline_ns, struct redisReply **reply);
/* The three above for one command: 0 and a reply that is no error, or the error, logged. reply may be NULL. */
int redis_command(struct redis *r, int64_t deadline_ns, struct redisReply **reply, const char *format, ...);

/* Has the peer closed while nothing was outstanding? Then the connection was dropped. */
bool redis_is_stale(struct redis *r);

#endif
