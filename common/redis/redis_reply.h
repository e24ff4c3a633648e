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

#endif
