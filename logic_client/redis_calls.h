/* redis_calls: requests to logic over pub/sub, and their replies. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_CALLS_H
#define LOGIC_CLIENT_REDIS_CALLS_H

#include <stdbool.h>

#include "common/config.h"
#include "common/redis_clock.h"
#include "common/redis_pipe.h"
#include "common/wire.h"

struct redis_calls;

/* Start the threads; the arguments outlive it. 0, -ENOMEM, -EAGAIN, -errno. */
int redis_calls_start(const struct config *cfg, const char *server_id, struct redis_pipe *pipe,
		      struct redis_clock *clock, struct redis_calls **out);
/* Join; what was not told stays so, and is void when the lease is given back. Nobody calls it any more. */
void redis_calls_stop(struct redis_calls **c);

/* Ask one instance, and after logic.timeout another. Waits for two logic.timeouts at the most; where no instance is up, for
 * one. No lock held. id, server, reply and expires of the request are filled in here.
 *   0            *reply is the caller's (wire_reply_fini); its rc is logic's
 *   -ERR_NO_LOGIC, -ENOMEM */
int redis_calls_ask(struct redis_calls *c, struct wire_request *request, struct wire_reply *reply);

/* Have logic told, sooner or later, and again until it confirms: WIRE_DISCONNECT or WIRE_HEARTBEAT. Does not wait.
 * 0; -ENOBUFS: too many wait already (counted), which heartbeats meet at half of what disconnects do; -ENOMEM (counted). */
int redis_calls_tell(struct redis_calls *c, enum wire_method method, const char *key, uint64_t session_id, int64_t mid);
/* How many of these wait, or are under way. */
size_t redis_calls_untold(struct redis_calls *c);

/* Is an instance known that is up? */
bool redis_calls_has_logic(struct redis_calls *c);

#endif
