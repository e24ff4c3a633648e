/* push_batch: pushes that are delivered together, to one share of the buckets. SPDX-License-Identifier: MIT */
#ifndef COMET_PUSH_BATCH_H
#define COMET_PUSH_BATCH_H

#include <stdbool.h>

#include "comet/push_job.h"
#include "comet/server.h"

/* As many as fit into one haul. */
#define PUSH_BATCH_MAX HAUL_MESSAGES

struct push_batch {
	struct push_job *jobs[PUSH_BATCH_MAX];
	struct message *messages[PUSH_BATCH_MAX]; /* borrowed from the jobs */
	unsigned n;
};

/* Each `of`th bucket, from this one on. */
struct push_share {
	unsigned index, of;
};

static inline bool push_share_has(const struct push_share *share, unsigned bucket)
{
	return bucket % share->of == share->index;
}

/* May the job that comes next share the writes of those in the batch, of which there is one? */
bool push_batch_takes(const struct push_batch *batch, const struct push_job *job);
/* Deliver one of WIRE_KEYS as far as this share goes, but false where something of it would have to wait: that is left to push_batch_do. */
bool push_batch_try(struct server *s, const struct push_share *share, struct push_job *job);
/* Deliver or kick, as far as this share goes. */
void push_batch_do(struct server *s, const struct push_share *share, const struct push_batch *batch);

#endif
