/* schema: the data in Redis (cluster/schema.md) have a layout, and the layout has a number. SPDX-License-Identifier: MIT */
#ifndef CLUSTER_SCHEMA_H
#define CLUSTER_SCHEMA_H

#include <stdint.h>

#include "common/config/config.h"
#include "common/redis/redis_pipe.h"

/* The layout that this program reads and writes. It changes only when older programs and this one cannot share data, and not for a
 * new key or field that the others do not miss. Data without a number have layout 1. */
#define SCHEMA 1

/* The name of a set of data with its zero byte. */
#define SCHEMA_CLUSTER_BYTES 17
/* A generation of the data (cluster/schema.md), perhaps with a ? behind it, and its zero byte. */
#define SCHEMA_GENERATION_BYTES 24

/* May this program start? For a logic; comets ask with their lease. Where programs of an older layout run it waits for their
 * leases to end, for at most one and a half times redis.lease. `cluster` gets the name of the data, a random one where they have none;
 * `generation` theirs, as scripts are told by one who does not know yet that all comets are there, or "" without Redis.
 *   0            yes, or Redis does not answer: announce asks again
 *   -ERR_SCHEMA  the data have a newer layout, or the older programs go on; it was logged
 *   -ECANCELED   the process was asked to stop meanwhile */
int schema_check(const struct config *cfg, struct redis_pipe *pipe, char cluster[SCHEMA_CLUSTER_BYTES],
		 char generation[SCHEMA_GENERATION_BYTES]);

/* Log why data of this layout are refused. */
void schema_say(int64_t layout);

#endif
