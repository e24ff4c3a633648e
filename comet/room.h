/* room: the members of one room in one bucket. Joins and leaves happen under the bucket's lock, so that a room that loses its
 * last member while another joins is never refused; pushes take only the room's own.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_ROOM_H
#define COMET_ROOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "comet/membership.h"
#include "comet/tally.h"
#include "common/base/lock.h"

struct room {
	unsigned magic;
#define ROOM_MAGIC 0x40033e5a
	atomic_uint refs; /* the bucket's map, and each thread that found it there */
	/* set once */
	struct tally *tally; /* its id is the room's */
	struct tally_table *tallies;
	/* under lock */
	struct lock lock;
	struct membership *members;
	size_t count;
};

/* Is it the one with this id? NULL is none. */
static inline bool room_is(const struct room *r, const char *id)
{
	return r != NULL && strcmp(r->tally->id, id) == 0;
}

/* An empty room; one reference, the caller's. 0 or -ENOMEM. */
int room_new(struct tally_table *tallies, const char *id, struct room **out);
struct room *room_ref(struct room *r);
void room_unref(struct room **r);

/* Under the bucket's lock; take r->lock. m is in no room, or in this one. room_leave says whether nobody is left. */
void room_join(struct room *r, struct membership *m) WITHOUT(r->lock);
bool room_leave(struct room *r, struct membership *m) WITHOUT(r->lock);

/* The members of a room at one moment, to push to all of them with no lock held. All zero: none. */
struct members {
	struct room *room;       /* a reference: no other room has its address meanwhile */
	struct membership **all; /* each with a reference to its connection */
	size_t n;
};

/* All who are in it. 0 or -ENOMEM. Takes r->lock. */
int room_members(struct room *r, struct members *out) WITHOUT(r->lock);
/* Without memory for the list: references to some of those who have joined it, beside their place, and are not closing; at most max.
 * Returns how many. Takes r->lock. */
size_t room_some_joined(struct room *r, struct connection **out, size_t max) WITHOUT(r->lock);
/* Drop all references, and free. The list is then empty. Not under a lock. */
void members_drop(struct members *list);

#endif
