/* tally: how many people are in a room, over all buckets of this comet and over all other comets. Rooms of one id in
 * several buckets share one tally, so that a heartbeat's reply reads two numbers and takes no lock.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_TALLY_H
#define COMET_TALLY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/lock.h"
#include "common/base/strmap.h"
#include "common/wire/wire.h"

struct tally {
	char *id;             /* set once */
	atomic_int here;      /* connections of this comet */
	atomic_int elsewhere; /* of all others, as logic last told */
	/* under the table's lock */
	unsigned refs;    /* rooms that share it */
	int reported;     /* `here` as logic was last told */
	unsigned told_at; /* the round of telling in which logic last named this room */
};

struct tally_table {
	atomic_uint changes; /* joins and leaves so far */
	/* under lock */
	struct lock lock;
	struct strmap map;
	unsigned round;
};

void tally_table_init(struct tally_table *t);
/* All tallies were put back. */
void tally_table_fini(struct tally_table *t);

/* The tally of this room, made if need be; one reference, the caller's. NULL: no memory. Takes t->lock. */
struct tally *tally_get(struct tally_table *t, const char *room_id) WITHOUT(t->lock);
/* Drop the reference. Takes t->lock. */
void tally_put(struct tally_table *t, struct tally *tally) WITHOUT(t->lock);

/* How many rooms there are here. Takes t->lock. */
size_t tally_rooms(struct tally_table *t) WITHOUT(t->lock);
/* How many are in this room here. Takes t->lock. */
unsigned tally_here(struct tally_table *t, const char *room_id) WITHOUT(t->lock);

/* How many are in each room here, for logic: a list of copies that tally_report_free frees. Starts a round of telling.
 * 0 or -ENOMEM. Takes t->lock. */
int tally_report(struct tally_table *t, struct wire_room_count **rooms, size_t *n) WITHOUT(t->lock);
void tally_report_free(struct wire_room_count *rooms, size_t n);
/* Logic says that so many are in the room over all comets, by the report before. */
void tally_told(struct tally_table *t, const char *room_id, int64_t count) WITHOUT(t->lock);
/* Logic has said all: in rooms that it did not name nobody is elsewhere. */
void tally_told_all(struct tally_table *t) WITHOUT(t->lock);

/* Everybody in the room, on all comets; as many as an int32 of the wire can say. */
static inline int tally_online(const struct tally *tally)
{
	int64_t all = (int64_t)atomic_load(&tally->here) + atomic_load(&tally->elsewhere);

	return all < INT32_MAX ? (int)all : INT32_MAX;
}

#endif
