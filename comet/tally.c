/* tally: see tally.h. SPDX-License-Identifier: MIT */
#include "comet/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/obj.h"

void tally_table_init(struct tally_table *t)
{
	atomic_init(&t->changes, 0);
	t->round = 0;
	lock_init(&t->lock, LOCK_POOL);
	strmap_init(&t->map);
}

void tally_table_fini(struct tally_table *t)
{
	BUG_UNLESS(t->map.count == 0);
	strmap_fini(&t->map);
	lock_fini(&t->lock);
}

static struct tally *make_locked(struct tally_table *t, const char *room_id) NEEDS(t->lock)
{
	struct tally *tally = calloc(1, sizeof(*tally));

	if (tally == NULL)
		return NULL;
	tally->id = strdup(room_id);
	if (tally->id == NULL || strmap_put(&t->map, room_id, tally, NULL) < 0) {
		free(tally->id);
		free(tally);
		return NULL;
	}
	return tally;
}

struct tally *tally_get(struct tally_table *t, const char *room_id)
{
	struct tally *tally;

	lock_take(&t->lock);
	tally = strmap_get(&t->map, room_id);
	if (tally == NULL)
		tally = make_locked(t, room_id);
	if (tally != NULL)
		tally->refs++;
	lock_drop(&t->lock);
	return tally;
}

void tally_put(struct tally_table *t, struct tally *tally)
{
	bool last;

	lock_take(&t->lock);
	last = --tally->refs == 0;
	if (last)
		(void)strmap_del(&t->map, tally->id);
	lock_drop(&t->lock);
	if (last) {
		free(tally->id);
		free(tally);
	}
}

static int report_locked(struct tally_table *t, struct wire_room_count *rooms, size_t *n) NEEDS(t->lock)
{
	struct strmap_cursor cursor = {0};
	const char *id;
	void *value;

	while (strmap_next(&t->map, &cursor, &id, &value)) {
		struct tally *tally = value;

		tally->reported = atomic_load(&tally->here);
		if ((rooms[*n].room = strdup(id)) == NULL)
			return -ENOMEM;
		rooms[(*n)++].count = tally->reported;
	}
	return 0;
}

size_t tally_rooms(struct tally_table *t)
{
	size_t n;

	lock_take(&t->lock);
	n = t->map.count;
	lock_drop(&t->lock);
	return n;
}

unsigned tally_here(struct tally_table *t, const char *room_id)
{
	const struct tally *tally;
	int here = 0;

	lock_take(&t->lock);
	if ((tally = strmap_get(&t->map, room_id)) != NULL)
		here = atomic_load(&tally->here);
	lock_drop(&t->lock);
	return here > 0 ? (unsigned)here : 0;
}

int tally_report(struct tally_table *t, struct wire_room_count **rooms, size_t *n)
{
	int rc = 0;

	*n = 0;
	lock_take(&t->lock);
	t->round++;
	*rooms = calloc(t->map.count + 1, sizeof(**rooms));
	if (*rooms == NULL)
		rc = -ENOMEM;
	else
		rc = report_locked(t, *rooms, n);
	lock_drop(&t->lock);
	if (rc < 0) {
		tally_report_free(*rooms, *n);
		*rooms = NULL;
	}
	return rc;
}

void tally_report_free(struct wire_room_count *rooms, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)(uintptr_t)rooms[i].room);
	free(rooms);
}

void tally_told(struct tally_table *t, const char *room_id, int64_t count)
{
	struct tally *tally;

	lock_take(&t->lock);
	if ((tally = strmap_get(&t->map, room_id)) != NULL) {
		int64_t elsewhere = count > tally->reported ? count - tally->reported : 0;

		tally->told_at = t->round;
		atomic_store(&tally->elsewhere, elsewhere > INT32_MAX ? INT32_MAX : (int)elsewhere);
	}
	lock_drop(&t->lock);
}

void tally_told_all(struct tally_table *t)
{
	struct strmap_cursor cursor = {0};
	const char *id;
	void *value;

	lock_take(&t->lock);
	while (strmap_next(&t->map, &cursor, &id, &value)) {
		struct tally *tally = value;

		if (tally->told_at != t->round)
			atomic_store(&tally->elsewhere, 0);
	}
	lock_drop(&t->lock);
}
