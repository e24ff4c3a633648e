/* unacked_memory: pushes to users that are to be confirmed in time, in a comet alone; those that no device has confirmed by then are told
 * as events, once each. In a cluster Redis has them: cluster/lua/push_user.lua, unacked.lua. SPDX-License-Identifier: MIT */
#ifndef LOGIC_UNACKED_MEMORY_H
#define LOGIC_UNACKED_MEMORY_H

#include <stdint.h>

#include "common/config/config.h"
#include "common/wire/user.h"

struct histories;
struct tidings;
struct unacked;

/* Both outlive it, and histories are filled in before the first push. Events.length of them wait at most: beyond it, and without memory, the
 * one that is due next is looked at now. 0, and *out is NULL where events.kinds does not name them, which the other calls take; -ENOMEM. */
int unacked_new(const struct config *cfg, const struct histories *histories, const struct tidings *tidings,
		struct unacked **out);
/* Have a thread look once a second. The errors of worker_start. */
int unacked_start(struct unacked *u);
/* Nobody calls it any more. What waits is not told. */
void unacked_free(struct unacked **unacked);

/* This user's push; not with NULL. Any thread, no lock held. */
void unacked_await(struct unacked *u, const struct user *user, uint64_t number, int64_t confirm_ms);
/* Tell of those that are due. */
void unacked_look(struct unacked *u);

#endif
