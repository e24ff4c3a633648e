/* push_answer_redis: what the scripts that write a push answer (cluster/lua/push*.lua). SPDX-License-Identifier: MIT */
#ifndef LOGIC_PUSH_ANSWER_REDIS_H
#define LOGIC_PUSH_ANSWER_REDIS_H

#include <stddef.h>

#include "cluster/script.h"
#include "logic/bus.h"
#include "logic/sent.h"

struct redisReply;

/* The generation, which there is also where nobody got it, and the stream of each comet that did: name, epoch, number of the entry. Under
 * the lock of `sent`. */
void push_answer_note(const struct redisReply *reply, const struct redis_script *script, struct sent *sent);
/* Of push_to.lua and push_user.lua: so many connections, and the numbers of the names under which nobody is online. */
void push_answer_tell(const struct redisReply *reply, size_t n_names, struct fate *fate);

#endif
