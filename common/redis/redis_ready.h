/* redis_ready: brings a connection up. On its thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_READY_H
#define COMMON_REDIS_REDIS_READY_H

#include "common/redis/redis.h"

/* Be connected, authenticated, on the right database, and talking to a master where there are sentinels. A try that was begun
 * before the deadline is gone through with: timeout_ms for each of its steps (connect, to each address of a name; AUTH, SELECT,
 * CLIENT SETNAME, PING), the same again for each sentinel; redis_stop does not cut a connect short. And where an address is a name, looking it up takes as
 * long as the machine's resolver lets it.
 *   0           connected; *fresh (may be NULL) says whether it is a new connection since the last call
 *   -ETIMEDOUT  not until the deadline
 *   -ESHUTDOWN  stopped */
int redis_ready(struct redis *r, int64_t deadline_ns, bool *fresh);

#endif
