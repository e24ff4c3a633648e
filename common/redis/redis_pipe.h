/* redis_pipe: one connection to Redis that many threads share. All waiting calls go out in one pipelined write; while the
 * answers are on their way the next batch gathers by itself. No timer waits for anything.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_PIPE_H
#define COMMON_REDIS_REDIS_PIPE_H

#include <stddef.h>
#include <stdint.h>

#include "common/redis/redis_script.h"

struct redis_pipe;
struct redis_call;

/* Start the thread. 0, -ENOMEM, -EAGAIN, -errno. */
int redis_pipe_start(const struct redis_options *opt, struct redis_pipe **out);
/* Fail what is left with -ESHUTDOWN, join. Nobody calls it any more. */
void redis_pipe_stop(struct redis_pipe **p);

/* Send one command (format as redisFormatCommand) and wait for its reply. Commands of one thread, and those whose calls
 * are ordered otherwise, reach Redis in the order of the calls. Any thread, no lock held: it waits.
 *   0           *reply is the caller's (freeReplyObject), and no error; with reply NULL it is freed here
 *   -ETIMEDOUT  no answer by the deadline; whether it was done is not known, but it will not be sent any more
 *   -ECONNRESET, -ENOTCONN  REDIS_ONCE only: the connection broke; whether it was done is not known
 *   -EAGAIN     too much waits already: it was not sent
 *   -ESHUTDOWN, -ENOMEM, and the codes of redis_reply_error (logged) */
int redis_pipe_call(struct redis_pipe *p, enum redis_repeat repeat, int64_t deadline_ns, struct redisReply **reply,
		    const char *format, ...);

/* The same in two halves, so that one thread can have many under way, or order them by a lock. _begin hands it over and does
 * not wait: locks may be held that come before LOCK_POOL. _end waits, with no lock held; it is always to be called after a
 * _begin that returned 0. */
int redis_pipe_begin(struct redis_pipe *p, enum redis_repeat repeat, int64_t deadline_ns, struct redis_call **out,
		     const char *format, ...);
int redis_pipe_beginv(struct redis_pipe *p, enum redis_repeat repeat, int64_t deadline_ns, struct redis_call **out,
		      int argc, const char **argv, const size_t *bytes);
int redis_pipe_end(struct redis_pipe *p, struct redis_call *call, struct redisReply **reply);

/* The first half for a script, with its arguments as redisFormatCommand makes them of less than a whole command; `command` is
 * taken over in any case. cluster/script.h has the comfortable form. Beside what is above, _end may say
 *   -ENOEXEC    the server had forgotten the script: certainly not done. The next try brings the text
 *   -ECONNRESET the same of one that was sent before, and may have been done then */
int redis_pipe_begin_script(struct redis_pipe *p, const struct redis_script *script, int64_t deadline_ns,
			    struct redis_call **out, char *command, int bytes);

/* What Redis said when it refused something last, or why it could not be reached. */
void redis_pipe_words(struct redis_pipe *p, char *words, size_t bytes);

/* Hand a command over and forget it (REDIS_ONCE). Does not wait, see _begin. 0: on its way; -EAGAIN, -ENOMEM: not sent. */
int redis_pipe_post(struct redis_pipe *p, int64_t deadline_ns, const char *format, ...);

#endif
