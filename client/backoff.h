/* backoff: how long to wait before the next attempt: longer each time, and never the same for all, so that clients do not
 * all come at once to a server that is back. Factor and jitter are those that /goim/nodes/weighted tells clients; the delays
 * are shorter, since somebody may sit and wait. SPDX-License-Identifier: MIT */
#ifndef CLIENT_BACKOFF_H
#define CLIENT_BACKOFF_H

#include <stdint.h>

#define BACKOFF_BASE_MS 500
#define BACKOFF_MAX_MS  30000
#define BACKOFF_FACTOR  1.8
#define BACKOFF_JITTER  0.3 /* up or down, of the delay */

/* Milliseconds to wait before attempt `attempt` (1 is the first one after the loss): from 350 ms to 39 s. `random`, from 0 to
 * UINT32_MAX, places the delay within the jitter. */
int64_t backoff_delay_ms(unsigned attempt, uint32_t random);

#endif
