/* redis_said: see redis_said.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_said.h"

#include <stdio.h>
#include <string.h>

void redis_said_init(struct redis_said *s)
{
	lock_init(&s->lock, LOCK_POOL);
	(void)snprintf(s->text, sizeof(s->text), "Redis is unreachable");
}

void redis_said_fini(struct redis_said *s)
{
	lock_fini(&s->lock);
}

static void set(struct redis_said *s, const char *beginning, const char *words)
{
	lock_take(&s->lock);
	s->why_at = strlen(beginning);
	(void)snprintf(s->text, sizeof(s->text), "%s%s", beginning, words);
	lock_drop(&s->lock);
}

void redis_said_reply(struct redis_said *s, const char *reply)
{
	set(s, "Redis says: ", reply);
}

void redis_said_unreachable(struct redis_said *s, const char *why)
{
	set(s, "Redis is unreachable: ", why);
}

void redis_said_get(struct redis_said *s, char *text, size_t bytes)
{
	lock_take(&s->lock);
	(void)snprintf(text, bytes, "%s", s->text);
	lock_drop(&s->lock);
}

void redis_said_why(struct redis_said *s, char *why, size_t bytes)
{
	lock_take(&s->lock);
	(void)snprintf(why, bytes, "%s", s->text + s->why_at);
	lock_drop(&s->lock);
}
