/* redis_backoff: when to try again to connect. Longer and longer, with jitter: those that lost Redis together do not come back
 * together. The owner's. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_BACKOFF_H
#define COMMON_REDIS_REDIS_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

/* {0}: at once. */
struct redis_backoff {
	unsigned failures; /* in a row */
	int64_t next_try_ns;
	int64_t came_ns; /* when the last connection came to stand */
};

void redis_backoff_failed(struct redis_backoff *b);
void redis_backoff_came(struct redis_backoff *b);
/* A connection that stood has broken: the first try comes soon, but after one that stood for less than the longest wait, such as those
 * with a replica that takes no writes: then it is one more failure. */
void redis_backoff_broke(struct redis_backoff *b);
/* Is the failure that comes now worth a line in the log? The first one is, then now and then. */
bool redis_backoff_is_loud(const struct redis_backoff *b);

#endif
