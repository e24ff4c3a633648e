/* redis_reply: see redis_reply.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_reply.h"

#include <errno.h>
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

int redis_reply_error(const struct redisReply *reply)
{
	static const struct {
		const char *word;
		int rc;
	} meanings[] = {
		{"READONLY", -EROFS}, {"MASTERDOWN", -EROFS}, {"LOADING", -EBUSY},     {"BUSY", -EBUSY},
		{"TRYAGAIN", -EBUSY}, {"NOAUTH", -EACCES},    {"WRONGPASS", -EACCES},  {"NOPERM", -EPERM},
		{"OOM", -ENOSPC},     {"MISCONF", -ENOSPC},   {"NOREPLICAS", -ENOSPC}, {"NOSCRIPT", -ENOEXEC},
	};

	if (reply->type != REDIS_REPLY_ERROR)
		return 0;
	/* Inside a script's error the word stands further behind: "ERR Error running script ... -READONLY ...". */
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strncmp(reply->str, meanings[i].word, strlen(meanings[i].word)) == 0)
			return meanings[i].rc;
	if (strstr(reply->str, "READONLY") != NULL)
		return -EROFS;
	return strstr(reply->str, "OOM") != NULL ? -ENOSPC : -EPROTO;
}

bool redis_error_is_of_connection(int rc)
{
	return rc == -EROFS || rc == -EBUSY || rc == -EACCES;
}
