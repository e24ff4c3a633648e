/* redis_said: what Redis said when it refused something last, or why it could not be reached: for /readyz. Any thread.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_SAID_H
#define COMMON_REDIS_REDIS_SAID_H

#include <stddef.h>

#include "common/base/lock.h"

struct redis_said {
	struct lock lock;
	/* under lock */
	char text[160]; /* what is longer is cut off */
	size_t why_at;  /* where the cause begins in it */
};

void redis_said_init(struct redis_said *s);
void redis_said_fini(struct redis_said *s);

/* An error reply. */
void redis_said_reply(struct redis_said *s, const char *reply) WITHOUT(s->lock);
void redis_said_unreachable(struct redis_said *s, const char *why) WITHOUT(s->lock);
/* A sentence about it. */
void redis_said_get(struct redis_said *s, char *text, size_t bytes) WITHOUT(s->lock);
/* The cause alone. */
void redis_said_why(struct redis_said *s, char *why, size_t bytes) WITHOUT(s->lock);

#endif
