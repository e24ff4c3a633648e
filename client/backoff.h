/* backoff: how long to wait before the next attempt: longer each time, and never the same for all, so that a server
 * that comes back is not met by everybody at once. The factors are those told to clients by /goim/nodes/weighted; the
 * delays are shorter, since somebody sits in front of it. SPDX-License-Identifier: MIT */
#ifndef CLIENT_BACKOFF_H
#define CLIENT_BACKOFF_H

#include <stdint.h>

#define BACKOFF_BASE_MS 500
#define BACKOFF_MAX_MS  30000
#define BACKOFF_FACTOR  1.8
#define BACKOFF_JITTER  0.3 /* up or down, of the delay */

/* Milliseconds to wait before attempt `attempt` (1 is the first one after the loss); `random` from 0 to UINT32_MAX
 * places it within the jitter. From 350 ms to 39 s. */
int64_t backoff_delay_ms(unsigned attempt, uint32_t random);

#endif
