/* occupied: see occupied.h. SPDX-License-Identifier: MIT */
#include "logic/occupied.h"

#include <stdlib.h>

#include "common/base/clock.h"

/* A room that was told. */
struct told {
	int64_t joined_ns; /* by whoever came last */
	unsigned report;   /* that named it last */
};

void occupied_init(struct occupied *o, const struct tidings *tidings)
{
	*o = (struct occupied){.tidings = tidings};
	lock_init(&o->lock, LOCK_REGISTRY);
	strmap_init(&o->rooms);
}

void occupied_fini(struct occupied *o)
{
	strmap_drop_all(&o->rooms, free);
	lock_fini(&o->lock);
}

/* In the order of what happened: under the lock. */
static void tell_locked(struct occupied *o, const char *kind, const char *room) NEEDS(o->lock)
{
	tidings_memory_tell(o->tidings, &(struct tiding){.kind = kind, .room = room});
}

static void join_locked(struct occupied *o, const char *room, int64_t now) NEEDS(o->lock)
{
	struct told *t = strmap_get(&o->rooms, room);

	if (t != NULL) {
		t->joined_ns = now;
		return;
	}
	if ((t = calloc(1, sizeof(*t))) == NULL)
		return;
	t->joined_ns = now;
	if (strmap_put(&o->rooms, room, t, NULL) < 0)
		free(t);
	else
		tell_locked(o, "occupied", room);
}

void occupied_join(struct occupied *o, const char *room)
{
	if (o->tidings->self == NULL)
		return;
	lock_take(&o->lock);
	join_locked(o, room, clock_now_ns());
	lock_drop(&o->lock);
}

static void drop_empty_locked(struct occupied *o, int64_t taken_ns) NEEDS(o->lock)
{
	struct strmap_cursor cursor = {0};
	const char *room;
	void *value;

	while (strmap_next(&o->rooms, &cursor, &room, &value)) {
		struct told *t = value;

		if (t->report == o->reports || t->joined_ns >= taken_ns)
			continue;
		tell_locked(o, "vacated", room);
		(void)strmap_del_walked(&o->rooms, room);
		free(t);
	}
	strmap_shrink(&o->rooms);
}

void occupied_report(struct occupied *o, int64_t taken_ns, const struct wire_room_count *rooms, size_t n)
{
	if (o->tidings->self == NULL)
		return;
	lock_take(&o->lock);
	o->reports++;
	for (size_t i = 0; i < n; i++) {
		struct told *t = strmap_get(&o->rooms, rooms[i].room);

		if (t != NULL && rooms[i].count > 0)
			t->report = o->reports;
	}
	drop_empty_locked(o, taken_ns);
	lock_drop(&o->lock);
}
