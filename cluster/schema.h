/* schema: what stands in Redis (cluster/schema.md) has a layout, and the layout a number. SPDX-License-Identifier: MIT */
#ifndef CLUSTER_SCHEMA_H
#define CLUSTER_SCHEMA_H

#include <stdint.h>

#include "common/config/config.h"
#include "common/redis/redis_pipe.h"

/* The layout that this program reads and writes. It changes only when older programs and this one cannot share data; a key or a
 * field more that the others do not miss is no reason. Data without a number have layout 1. */
#define SCHEMA 1

/* May this program start? For a logic; comets ask with their lease. Where programs of an older layout run it waits for their
 * leases to end, one and a half times redis.lease at the most.
 *   0            yes, or Redis does not answer: announce asks again
 *   -ERR_SCHEMA  the data have a newer layout, or the older programs go on; it was logged
 *   -ECANCELED   the process was asked to stop meanwhile */
int schema_check(const struct config *cfg, struct redis_pipe *pipe);

/* Log what is wrong with data of this layout. */
void schema_say(int64_t layout);

#endif
