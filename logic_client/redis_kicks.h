/* redis_kicks: kicks that came lately. A connection may be replaced on another comet while the reply to its own connect is
 * still on its way: the kick comes first, and finds nobody. So kicks are remembered for as long as a connect can take, and
 * looked up once the connection is where kicks look for it. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_KICKS_H
#define LOGIC_CLIENT_REDIS_KICKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/lock.h"
#include "common/strmap.h"
#include "common/wire.h"

#define REDIS_KICKS_MAX                                                                                                \
	8192 /* beyond it the oldest go: a second's worth of them at a rate that no cluster of ours has */

struct redis_kick;

struct redis_kicks {
	/* set once */
	int64_t keep_ns;
	/* under lock */
	struct lock lock;
	struct strmap by_key;
	struct redis_kick *ring[REDIS_KICKS_MAX]; /* in the order in which they came */
	unsigned first, n;
};

void redis_kicks_init(struct redis_kicks *k, int64_t keep_ns);
void redis_kicks_fini(struct redis_kicks *k);

/* Remember a kick that names sessions; before it is handed on. 0 or -ENOMEM. */
int redis_kicks_add(struct redis_kicks *k, const struct wire_push *kick) WITHOUT(k->lock);
/* Was this session, or one that came after it, kicked lately? *replaced says why. */
bool redis_kicks_has(struct redis_kicks *k, const char *key, uint64_t session_id, bool *replaced) WITHOUT(k->lock);

#endif
