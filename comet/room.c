/* room: see room.h. SPDX-License-Identifier: MIT */
#include "comet/room.h"

#include <errno.h>
#include <stdlib.h>

#include "comet/connection.h"
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

void room_join(struct room *r, struct membership *m)
{
	lock_take(&r->lock);
	m->prev = NULL;
	m->next = r->members;
	if (r->members != NULL)
		r->members->prev = m;
	r->members = m;
	r->count++;
	lock_drop(&r->lock);
	atomic_store_explicit(&m->room, r, memory_order_release);
	atomic_fetch_add(&r->tally->here, 1);
	atomic_fetch_add_explicit(&r->tallies->changes, 1, memory_order_relaxed);
}

bool room_leave(struct room *r, struct membership *m)
{
	bool empty;

	atomic_store_explicit(&m->room, NULL, memory_order_release);
	lock_take(&r->lock);
	if (m->prev != NULL)
		m->prev->next = m->next;
	else
		r->members = m->next;
	if (m->next != NULL)
		m->next->prev = m->prev;
	m->next = NULL;
	m->prev = NULL;
	empty = --r->count == 0;
	lock_drop(&r->lock);
	atomic_fetch_sub(&r->tally->here, 1);
	atomic_fetch_add_explicit(&r->tallies->changes, 1, memory_order_relaxed);
	return empty;
}

int room_members(struct room *r, struct members *out)
{
	int rc = 0;

	*out = (struct members){0};
	lock_take(&r->lock);
	if (r->count > 0 && (out->all = reallocarray(NULL, r->count, sizeof(struct membership *))) == NULL)
		rc = -ENOMEM;
	for (struct membership *m = r->members; rc == 0 && m != NULL; m = m->next) {
		(void)connection_ref(m->connection);
		out->all[out->n++] = m;
	}
	lock_drop(&r->lock);
	if (rc == 0)
		out->room = room_ref(r);
	return rc;
}

size_t room_some_joined(struct room *r, struct connection **out, size_t max)
{
	size_t n = 0;

	lock_take(&r->lock);
	for (struct membership *m = r->members; n < max && m != NULL; m = m->next)
		if (m != &m->connection->place && !connection_is_closing(m->connection))
			out[n++] = connection_ref(m->connection);
	lock_drop(&r->lock);
	return n;
}

void members_drop(struct members *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct connection *c = list->all[i]->connection; /* the membership may go with it */

		connection_unref(&c);
	}
	free(list->all);
	if (list->room != NULL)
		room_unref(&list->room);
	*list = (struct members){0};
}
