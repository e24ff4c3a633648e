/* membership: one connection in one room. A connection has one in itself, for the room of AUTH and of op 12, and one more for each
 * room that it has joined (joins.h). Those stay with it until its end, and serve for its next room once they are free: so who has
 * listed a membership with a reference to its connection may look at it at any later time. SPDX-License-Identifier: MIT */
#ifndef COMET_MEMBERSHIP_H
#define COMET_MEMBERSHIP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"

struct connection;
struct room;

/* `after` of a membership that gets nothing, and of one that gets what has no number, or one up to this. */
#define MEMBERSHIP_DEAF          UINT64_MAX
#define MEMBERSHIP_UP_TO(number) (UINT64_C(1) << 63 | (number))
/* `until_ns` of one that a back end has made: no token has a say in it. */
#define MEMBERSHIP_LED INT64_MAX

struct membership {
	/* set once */
	struct connection *connection;
	/* set under the bucket's two locks; NULL: it is free */
	_Atomic(struct room *) room;
	/* under the room's lock */
	struct membership *next, *prev;
	/* the connection gets pushes of the room with a number above this one; read under the channel's lock */
	_Atomic uint64_t after;
	/* its pass to the room ends then (clock_now_ns), and nothing of the room comes any more; 0: it has no end; MEMBERSHIP_LED. Set
	 * under the bucket's `places` */
	_Atomic int64_t until_ns;
};

static inline bool membership_is_over(const struct membership *m)
{
	int64_t until_ns = atomic_load_explicit(&m->until_ns, memory_order_acquire);

	return until_ns != 0 && until_ns != MEMBERSHIP_LED && clock_now_ns() >= until_ns;
}

static inline bool membership_is_led(const struct membership *m)
{
	return atomic_load(&m->until_ns) == MEMBERSHIP_LED;
}

static inline bool membership_hears(uint64_t after, uint64_t number)
{
	if (number == 0 || after == MEMBERSHIP_DEAF)
		return after != MEMBERSHIP_DEAF;
	return after >= MEMBERSHIP_UP_TO(0) ? MEMBERSHIP_UP_TO(number) <= after : number > after;
}

/* Does a push with this number (0: none) to this room reach the connection? Asked under the channel's lock, where the push is queued:
 * what the reader queues after it has made the membership deaf comes after all of the room that still came. */
static inline bool membership_passes(const struct membership *m, const struct room *room, uint64_t number)
{
	uint64_t after = atomic_load_explicit(&m->after, memory_order_acquire);

	return atomic_load_explicit(&m->room, memory_order_acquire) == room && membership_hears(after, number) &&
	       !membership_is_over(m);
}

#endif
