/* redis_pushes: the pushes that come down, read from this comet's stream. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_PUSHES_H
#define LOGIC_CLIENT_REDIS_PUSHES_H

#include "cluster/member.h"
#include "logic_client/kicks.h"
#include "logic_client/logic_client.h"

struct redis_pushes;

/* Read comet:push:<server> from its beginning (the lease has made it), and feed the sink; kicks are first noted in `kicks`. `epoch` is
 * the lease's, and outlives this. 0, -ENOMEM, -EAGAIN, -errno. */
int redis_pushes_start(const struct cluster_member *member, const char *epoch, push_sink *sink, void *sink_self,
		       struct kicks *kicks, struct redis_pushes **out);
/* Has this comet not reached its stream for so long? The words say why. */
bool redis_pushes_is_down(struct redis_pushes *p, int64_t for_ns, char *words, size_t bytes);
/* Join: from its return on the sink is not called any more. A push that the sink did not take yet stays in the stream. */
void redis_pushes_stop(struct redis_pushes **p);

#endif
