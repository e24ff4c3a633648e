/* backoff: how long to wait before the next attempt: a random time below a bound that grows, so that clients do not all come at once to a
 * server that is back. The numbers are those of docs/protocol.md, *Connecting again*, and of /goim/nodes/weighted.
 * SPDX-License-Identifier: MIT */
#ifndef CLIENT_BACKOFF_H
#define CLIENT_BACKOFF_H

#include <stdint.h>

#define BACKOFF_BASE_MS 3000
#define BACKOFF_MAX_MS  300000
#define BACKOFF_FACTOR  1.8

/* Milliseconds to wait before attempt `attempt` (1 is the first one after the loss): from 1 to the bound of that attempt. `random`, from 0
 * to UINT32_MAX, places it there. */
int64_t backoff_delay_ms(unsigned attempt, uint32_t random);
/* The same, with a `random` of the kernel's. */
int64_t backoff_draw_ms(unsigned attempt);
/* As much of such a delay as is waited where a server that goes away has named another one: a sixteenth, at first below 200 ms, since servers
 * spread their clients themselves. It grows as well: servers that send us to and fro, or to a stranger, are no reason to haste. */
int64_t backoff_sent_ms(int64_t delay_ms);

#endif
