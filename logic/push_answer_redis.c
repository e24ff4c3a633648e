/* push_answer_redis: see push_answer_redis.h. SPDX-License-Identifier: MIT */
#include "logic/push_answer_redis.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "common/redis/redis_reply.h"

/* Where in the answer the streams begin. */
static size_t first_comet(const struct redis_script *script)
{
	if (script == &script_push_to)
		return 4;
	if (script == &script_push_user)
		return 5;
	return script == &script_push_kept || script == &script_push_join ? 3 : 2;
}

void push_answer_note(const struct redisReply *reply, const struct redis_script *script, struct sent *sent)
{
	struct sent_answer answer = {.generation = (uint64_t)redis_reply_number(reply, 1)};

	sent_generation(sent, answer.generation);
	for (size_t i = first_comet(script); i + 2 < reply->elements; i += 3) {
		answer.server = redis_reply_text(reply, i);
		answer.epoch = (uint64_t)redis_reply_number(reply, i + 1);
		answer.n = (uint64_t)redis_reply_number(reply, i + 2);
		sent_note(sent, &answer);
	}
}

void push_answer_tell(const struct redisReply *reply, size_t n_names, struct fate *fate)
{
	const char *at = redis_reply_text(reply, 3);
	char *end;

	fate->knows_online = true;
	fate->online = (size_t)redis_reply_number(reply, 2);
	fate->offline = 0;
	for (size_t i = 0; fate->is_there != NULL && i < n_names; i++)
		fate->is_there[i] = true;
	for (unsigned long n; (n = strtoul(at, &end, 10)) > 0 && n <= n_names; at = end) {
		fate->offline++;
		if (fate->is_there != NULL)
			fate->is_there[n - 1] = false;
	}
}
