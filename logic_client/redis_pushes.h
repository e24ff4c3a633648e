/* redis_pushes: the pushes that come down, read from this comet's stream. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_PUSHES_H
#define LOGIC_CLIENT_REDIS_PUSHES_H

#include "logic_client/kicks.h"
#include "logic_client/redis_client.h"

struct redis_pushes;

/* Read comet:push:<server> from its beginning, which the lease has made, and feed the sink; kicks are noted
 * in `kicks` before. 0, -ENOMEM, -EAGAIN, -errno. */
int redis_pushes_start(const struct redis_client_options *opt, struct kicks *kicks, struct redis_pushes **out);
/* Join: from its return on the sink is not called any more. A push that the sink did not take yet stays in the stream. */
void redis_pushes_stop(struct redis_pushes **p);

#endif
