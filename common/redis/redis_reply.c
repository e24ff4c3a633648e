/* redis_reply: see redis_reply.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_reply.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

const char *redis_reply_text(const struct redisReply *reply, size_t i)
{
	if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements || reply->element[i]->str == NULL)
		return "";
	return reply->element[i]->str;
}

int64_t redis_reply_number(const struct redisReply *reply, size_t i)
{
	return strtoll(redis_reply_text(reply, i), NULL, 10);
}

bool redis_reply_says(const struct redisReply *reply, const char *word)
{
	return strcmp(redis_reply_text(reply, 0), word) == 0;
}
