/* bucket: see bucket.h. Lock order: bucket, then room. SPDX-License-Identifier: MIT */
#include "comet/bucket.h"

#include <errno.h>

#include "comet/joined.h"
#include "common/base/obj.h"

void bucket_init(struct bucket *b, struct tally_table *tallies)
{
	b->tallies = tallies;
	lock_init(&b->places, LOCK_PLACES);
	lock_init(&b->lock, LOCK_BUCKET);
	strmap_init(&b->connections);
	strmap_init(&b->rooms);
}

void bucket_fini(struct bucket *b)
{
	BUG_UNLESS(b->connections.count == 0 && b->rooms.count == 0);
	strmap_fini(&b->connections);
	strmap_fini(&b->rooms);
	lock_fini(&b->lock);
	lock_fini(&b->places);
}

/* Out of the room that m is in. Returns the map's reference to the room if that is now empty and gone from the map: the
 * caller drops it without the lock. */
static struct room *leave_locked(struct bucket *b, struct membership *m) NEEDS(b->lock)
{
	struct room *r = atomic_load(&m->room);

	if (r == NULL || !room_leave(r, m))
		return NULL;
	(void)strmap_del(&b->rooms, r->tally->id);
	return r;
}

/* The room, made if need be; borrowed from the map. */
static int find_room_locked(struct bucket *b, const char *room_id, struct room **out) NEEDS(b->lock)
{
	int rc;

	if ((*out = strmap_get(&b->rooms, room_id)) != NULL)
		return 0;
	if ((rc = room_new(b->tallies, room_id, out)) < 0)
		return rc;
	if ((rc = strmap_put(&b->rooms, room_id, *out, NULL)) < 0)
		room_unref(out);
	return rc;
}

/* Into the room; *gone gets the room left behind if it is now empty. On -ENOMEM m stays where it was. */
static int change_room_locked(struct bucket *b, struct membership *m, const char *room_id, struct room **gone)
	NEEDS(b->lock)
{
	struct room *to = NULL;
	int rc;

	*gone = NULL;
	if (room_id != NULL && room_id[0] != '\0' && (rc = find_room_locked(b, room_id, &to)) < 0)
		return rc;
	if (to != NULL && to == atomic_load(&m->room))
		return 0;
	*gone = leave_locked(b, m);
	if (to != NULL)
		room_join(to, m);
	return 0;
}

/* Drop the map's reference to a room that left it. */
static void drop_room(struct room *gone)
{
	if (gone != NULL)
		room_unref(&gone);
}

int bucket_put(struct bucket *b, struct connection *c, const char *room_id, struct connection **replaced)
{
	struct connection *there;
	struct room *gone = NULL;
	int rc;

	*replaced = NULL;
	lock_take(&b->lock);
	there = strmap_get(&b->connections, c->seat.key);
	if (there != NULL && there->seat.session_id > c->seat.session_id) {
		rc = -EEXIST;
		goto drop;
	}
	if ((rc = change_room_locked(b, &c->place, room_id, &gone)) < 0)
		goto drop;
	if ((rc = strmap_put(&b->connections, c->seat.key, c, NULL)) < 0) {
		gone = leave_locked(b, &c->place);
		goto drop;
	}
	if (there != NULL)
		*replaced = connection_ref(there);
drop:
	lock_drop(&b->lock);
	drop_room(gone);
	return rc;
}

bool bucket_del(struct bucket *b, struct connection *c)
{
	bool same;

	lock_take(&b->places);
	bucket_leave(b, &c->place);
	lock_drop(&b->places);
	lock_take(&b->lock);
	same = strmap_get(&b->connections, c->seat.key) == c;
	if (same)
		(void)strmap_del(&b->connections, c->seat.key);
	lock_drop(&b->lock);
	return same;
}

int bucket_change_room(struct bucket *b, struct membership *m, const char *room_id)
{
	struct room *gone;
	int rc;

	lock_take(&b->lock);
	rc = change_room_locked(b, m, room_id, &gone);
	lock_drop(&b->lock);
	drop_room(gone);
	return rc;
}

void bucket_leave(struct bucket *b, struct membership *m)
{
	(void)bucket_change_room(b, m, NULL);
}

void bucket_leave_place(struct bucket *b, struct connection *c)
{
	bucket_leave(b, &c->place);
	atomic_store(&c->place.until_ns, 0);
	atomic_store(&c->place.after, 0);
}

struct room *bucket_room_of(struct bucket *b, const struct membership *m)
{
	struct room *room;

	lock_take(&b->places);
	if ((room = atomic_load(&m->room)) != NULL)
		(void)room_ref(room);
	lock_drop(&b->places);
	return room;
}

int bucket_online_in_place(struct bucket *b, struct connection *c)
{
	const struct room *room;
	int online;

	lock_take(&b->places);
	room = atomic_load(&c->place.room);
	online = room != NULL ? tally_online(room->tally) : 0;
	lock_drop(&b->places);
	return online;
}

struct connection *bucket_get(struct bucket *b, const char *key)
{
	struct connection *c;

	lock_take(&b->lock);
	if ((c = strmap_get(&b->connections, key)) != NULL)
		(void)connection_ref(c);
	lock_drop(&b->lock);
	return c;
}

struct room *bucket_room(struct bucket *b, const char *room_id)
{
	struct room *r;

	lock_take(&b->lock);
	if ((r = strmap_get(&b->rooms, room_id)) != NULL)
		(void)room_ref(r);
	lock_drop(&b->lock);
	return r;
}

static size_t add_room_locked(const struct membership *m, struct room **out, size_t n, size_t max)
{
	struct room *room = atomic_load(&m->room);

	if (room == NULL)
		return n;
	if (n < max)
		out[n] = room_ref(room);
	return n + 1;
}

/* Memberships change their room under this lock alone. */
size_t bucket_rooms_of(struct bucket *b, const struct connection *c, struct room **out, size_t max)
{
	size_t n;

	lock_take(&b->lock);
	n = add_room_locked(&c->place, out, 0, max);
	for (const struct joined *j = c->joins != NULL ? c->joins->all : NULL; j != NULL; j = j->next)
		n = add_room_locked(&j->member, out, n, max);
	lock_drop(&b->lock);
	return n;
}

int bucket_all(struct bucket *b, struct connections *out)
{
	struct strmap_cursor cursor = {0};
	const char *key;
	void *value;
	int rc;

	lock_take(&b->lock);
	if ((rc = connections_reserve(out, b->connections.count)) == 0)
		while (strmap_next(&b->connections, &cursor, &key, &value))
			connections_add(out, value);
	lock_drop(&b->lock);
	return rc;
}
