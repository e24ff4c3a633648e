/* room: see room.h. SPDX-License-Identifier: MIT */
#include "comet/room.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/counters.h"
#include "common/base/obj.h"

int room_new(struct tally_table *tallies, const char *id, struct room **out)
{
	struct room *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	if ((r->tally = tally_get(tallies, id)) == NULL) {
		free(r);
		return -ENOMEM;
	}
	r->magic = ROOM_MAGIC;
	r->tallies = tallies;
	atomic_init(&r->refs, 1);
	lock_init(&r->lock, LOCK_ROOM);
	count(COUNT_ROOMS);
	*out = r;
	return 0;
}

struct room *room_ref(struct room *r)
{
	OBJ_CHECK(r, ROOM_MAGIC);
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void room_unref(struct room **room)
{
	struct room *r = *room;

	OBJ_CHECK(r, ROOM_MAGIC);
	*room = NULL;
	if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
		return;
	BUG_UNLESS(r->members == NULL);
	tally_put(r->tallies, r->tally);
	lock_fini(&r->lock);
	r->magic = 0;
	free(r);
	count_add(COUNT_ROOMS, -1);
}

void room_join(struct room *r, struct connection *c)
{
	lock_take(&r->lock);
	c->room_prev = NULL;
	c->room_next = r->members;
	if (r->members != NULL)
		r->members->room_prev = c;
	r->members = c;
	r->count++;
	lock_drop(&r->lock);
	atomic_fetch_add(&r->tally->here, 1);
	atomic_fetch_add_explicit(&r->tallies->changes, 1, memory_order_relaxed);
}

bool room_leave(struct room *r, struct connection *c)
{
	bool empty;

	lock_take(&r->lock);
	if (c->room_prev != NULL)
		c->room_prev->room_next = c->room_next;
	else
		r->members = c->room_next;
	if (c->room_next != NULL)
		c->room_next->room_prev = c->room_prev;
	c->room_next = NULL;
	c->room_prev = NULL;
	empty = --r->count == 0;
	lock_drop(&r->lock);
	atomic_fetch_sub(&r->tally->here, 1);
	atomic_fetch_add_explicit(&r->tallies->changes, 1, memory_order_relaxed);
	return empty;
}

int room_members(struct room *r, struct connections *out)
{
	int rc;

	lock_take(&r->lock);
	if ((rc = connections_reserve(out, r->count)) == 0)
		for (struct connection *c = r->members; c != NULL; c = c->room_next)
			connections_add(out, c);
	lock_drop(&r->lock);
	return rc;
}
