/* bucket: one shard of key -> connection and of room id -> room. The map borrows: a connection leaves its bucket before
 * its reader drops the last reference. SPDX-License-Identifier: MIT */
#ifndef COMET_BUCKET_H
#define COMET_BUCKET_H

#include <stddef.h>

#include "comet/connection.h"
#include "comet/connections.h"
#include "comet/room.h"
#include "comet/tally.h"
#include "common/base/lock.h"
#include "common/base/strmap.h"

struct bucket {
	/* set once */
	struct tally_table *tallies;
	/* taken before `lock` by whoever moves a connection of this bucket between rooms, or reads in which it is: its reader, and a
	 * push thread for a back end */
	struct lock places;
	/* under lock */
	struct lock lock;
	struct strmap connections;
	struct strmap rooms;
};

void bucket_init(struct bucket *b, struct tally_table *tallies);
/* Empty by now. */
void bucket_fini(struct bucket *b);

/* Put c, whose key and session_id are set, into its bucket and into the room (NULL or "": none). With a key that is there
 * already the newer session stays, whichever arrives first:
 *   0        c is in; *replaced is NULL, or a reference to the connection that was: tell it and close it, with no lock held
 *   -EEXIST  a newer one is there: c is not in, and is the one replaced
 *   -ENOMEM
 * Takes b->lock and the room's. */
int bucket_put(struct bucket *b, struct connection *c, const char *room_id, struct connection **replaced)
	WITHOUT(b->lock);
/* Take c out of the room of its place, and out of the map if it is still the one there. False: it was not. */
bool bucket_del(struct bucket *b, struct connection *c) WITHOUT(b->lock);

/* Move one membership to another room (NULL or "": to none), in the bucket of its connection. 0, or -ENOMEM: it stayed where it
 * was. The caller holds b->places. */
int bucket_change_room(struct bucket *b, struct membership *m, const char *room_id) WITHOUT(b->lock);
/* To none. */
void bucket_leave(struct bucket *b, struct membership *m) WITHOUT(b->lock);
/* The place of c (of AUTH and op 12) to none. It is then as it was at first: its pass has no end, and it is not deaf. The caller holds
 * b->places. */
void bucket_leave_place(struct bucket *b, struct connection *c) WITHOUT(b->lock);

/* A reference to the room that m is in, or NULL. */
struct room *bucket_room_of(struct bucket *b, const struct membership *m) WITHOUT(b->places);
/* How many are in the room of its place (of AUTH and op 12), over all comets. */
int bucket_online_in_place(struct bucket *b, struct connection *c) WITHOUT(b->places);

/* A reference to the connection with this key, or NULL. */
struct connection *bucket_get(struct bucket *b, const char *key) WITHOUT(b->lock);
/* A reference to the room, or NULL. */
struct room *bucket_room(struct bucket *b, const char *room_id) WITHOUT(b->lock);
/* References to the rooms that c, which is in this bucket, is in: as many as `max`; returns how many there are. One that it is in
 * twice comes twice. */
size_t bucket_rooms_of(struct bucket *b, const struct connection *c, struct room **out, size_t max) WITHOUT(b->lock);
/* References to all connections, added to out; 0 or -ENOMEM. */
int bucket_all(struct bucket *b, struct connections *out) WITHOUT(b->lock);

#endif
