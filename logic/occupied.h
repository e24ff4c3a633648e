/* occupied: the rooms of a comet alone in which somebody is, told as events: the first who comes, at once, and that none was there when
 * rooms were counted. Any thread. SPDX-License-Identifier: MIT */
#ifndef LOGIC_OCCUPIED_H
#define LOGIC_OCCUPIED_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/lock.h"
#include "common/base/strmap.h"
#include "common/wire/wire.h"
#include "logic/tidings.h"

struct occupied {
	/* set once */
	const struct tidings *tidings;
	/* under lock */
	struct lock lock;
	struct strmap rooms;
	unsigned reports;
};

/* Never fails; the tidings outlive it. */
void occupied_init(struct occupied *o, const struct tidings *tidings);
void occupied_fini(struct occupied *o);

/* Somebody is, or is about to be, in this room. Without memory nobody is told. */
void occupied_join(struct occupied *o, const char *room) WITHOUT(o->lock);
/* By a count that began then, these are all that have members. */
void occupied_report(struct occupied *o, int64_t taken_ns, const struct wire_room_count *rooms, size_t n)
	WITHOUT(o->lock);

#endif
