/* redis_tell: news for logic that nobody waits for: connections that have gone, and connections that are still there. News are
 * remembered, in their order, until a logic confirms them. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_TELL_H
#define LOGIC_CLIENT_REDIS_TELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"
#include "common/wire/wire.h"
#include "logic_client/redis_calls.h"

struct redis_tell;

/* Start the thread; the arguments outlive it. 0, -ENOMEM, -EAGAIN. */
int redis_tell_start(const struct config *cfg, struct redis_calls *calls, struct redis_tell **out);
/* Join, at once if `calls` was stopped before. News that were not told are dropped: without the lease they are void. Nobody calls it
 * any more. */
void redis_tell_stop(struct redis_tell **t);

/* Tell logic, sooner or later, and again until it confirms: WIRE_DISCONNECT or WIRE_HEARTBEAT. Does not wait. News that logic does
 * not confirm while it confirms others, again and again, are given up (counted).
 * 0; -ENOBUFS: too many wait already (counted), for heartbeats half as many as for disconnects; or 16,384 of
 * SEAT_ANY_SESSION; -ENOMEM (counted). */
int redis_tell_add(struct redis_tell *t, enum wire_method method, const struct seat *seat);
/* The same of a client that is not in, though a logic may have registered it under this key of ours: nobody else would forget that for a
 * day, and its user would seem to be online. A client that brought a key of its own comes back with it. */
void redis_tell_forget(struct redis_tell *t, const char *key);
/* The same of all whom this kick is for: a registration that no connection has would stay. Of one that was replaced the key is another's
 * already. */
void redis_tell_kicked(struct redis_tell *t, const struct wire_push *kick);
/* How many of these wait, or are under way. */
size_t redis_tell_count(struct redis_tell *t);

/* The number of the last that was added; they count from 1. */
uint64_t redis_tell_last(struct redis_tell *t);
/* Are all up to this number told, or given up? */
bool redis_tell_has_told(struct redis_tell *t, uint64_t number);

#endif
