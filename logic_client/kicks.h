/* kicks: the kicks of the last moments. A connection may be kicked, or replaced on another comet, when logic knows it already and
 * the bucket does not: the kick comes first, and finds nobody. So kicks are remembered for as long as a connect can take,
 * and looked up once the connection stands in its bucket. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_KICKS_H
#define LOGIC_CLIENT_KICKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/lock.h"
#include "common/base/strmap.h"
#include "common/wire/wire.h"
#include "logic_client/logic_client.h"

#define KICKS_MAX 8192 /* beyond it the oldest go: a second's worth of them at a rate that no cluster of ours has */

struct kick;

struct kicks {
	/* set once */
	int64_t keep_ns;
	/* under lock */
	struct lock lock;
	struct strmap by_key;
	struct kick *ring[KICKS_MAX]; /* in the order in which they came */
	unsigned first, n;
};

void kicks_init(struct kicks *k, int64_t keep_ns);
void kicks_fini(struct kicks *k);

/* Remember a kick that names sessions; before it is handed on. 0 or -ENOMEM. */
int kicks_add(struct kicks *k, const struct wire_push *kick) WITHOUT(k->lock);
/* Was this session, or one that came after it, kicked lately? *reason says why. */
bool kicks_has(struct kicks *k, const struct seat *seat, enum wire_reason *reason) WITHOUT(k->lock);
/* The connection is where kicks look for it: one that came before it goes to the sink once more. */
void kicks_repeat(struct kicks *k, const struct seat *seat, push_sink *sink, void *sink_self) WITHOUT(k->lock);

#endif
