/* redis_reply: reading what Redis answered. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_REPLY_H
#define COMMON_REDIS_REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redisReply; /* hiredis/read.h */

/* Element i of an array, which stays the reply's; "" where there is none or it has no text. */
const char *redis_reply_text(const struct redisReply *reply, size_t i);
/* The same as a number; 0 where it is none. */
int64_t redis_reply_number(const struct redisReply *reply, size_t i);
/* Is this word the first element? */
bool redis_reply_says(const struct redisReply *reply, const char *word);

/* The meaning of an error reply, 0 for any other reply:
 *   -EROFS   a replica answered (READONLY, MASTERDOWN): the master is elsewhere
 *   -EBUSY   LOADING, BUSY, TRYAGAIN: later
 *   -EACCES  NOAUTH, WRONGPASS
 *   -EPERM   NOPERM: not this command, with this user; others may go well
 *   -ENOSPC  OOM, MISCONF: it takes no writes
 *   -ENOEXEC NOSCRIPT
 *   -EPROTO  anything else */
int redis_reply_error(const struct redisReply *reply);
/* Does this error mean that another connection would do better? */
bool redis_error_is_of_connection(int rc);

#endif
