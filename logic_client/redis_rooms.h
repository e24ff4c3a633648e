/* redis_rooms: this comet's rooms in Redis: a hash of room and count, so that a push to a room goes only to comets that have it. Part
 * of redis_lease, which decides when it is written. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_ROOMS_H
#define LOGIC_CLIENT_REDIS_ROOMS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/lock.h"
#include "common/base/strmap.h"
#include "common/redis/redis_name.h"
#include "common/redis/redis_pipe.h"
#include "common/wire/wire.h"

/* The fields are redis_rooms.c's. */
struct redis_rooms {
	/* set once */
	struct redis_pipe *pipe;
	const char *server_id;
	char *events; /* as scripts take it; NULL: nobody wants events */
	struct redis_name key;
	int64_t timeout_ns;
	/* under lock */
	struct lock lock;
	struct strmap told;      /* room -> struct told */
	unsigned to_write;       /* rooms that are not current */
	unsigned writes, report; /* the last ones */
};

/* The pipe outlives it. 0 or -ENOMEM; redis_rooms_fini is due in each case. */
int redis_rooms_init(struct redis_rooms *r, struct redis_pipe *pipe, const struct config *cfg, const char *server_id);
void redis_rooms_fini(struct redis_rooms *r);

/* Somebody is in these rooms: returns when Redis has all of them, of which many are written at a time. Any thread. 0, or the errors of
 * redis_pipe_call, with rooms that are written by redis_rooms_write_missing; -ENOMEM: perhaps not even that. Called again it writes those
 * that are not there. */
int redis_rooms_join(struct redis_rooms *r, const char *const *rooms, size_t n, int64_t deadline_ns) WITHOUT(r->lock);
/* A script has written this room for us; without memory it is not told from the others of a hash that nobody deletes. Does not wait. */
void redis_rooms_expect(struct redis_rooms *r, const char *room) WITHOUT(r->lock);
/* Take a report over: how many are in each room; rooms that it does not name have nobody. 0 or -ENOMEM. One thread. */
int redis_rooms_note(struct redis_rooms *r, const struct wire_room_count *rooms, size_t n) WITHOUT(r->lock);
/* Write the rooms that Redis does not have yet, or has with another count. 0, -ENOMEM, or the errors of redis_pipe_call. */
int redis_rooms_write_missing(struct redis_rooms *r) WITHOUT(r->lock);
/* Delete the rooms that the last report did not name and that nobody has joined since taken_ns. Returns the same. */
int redis_rooms_delete_gone(struct redis_rooms *r, int64_t taken_ns) WITHOUT(r->lock);
/* Redis has lost all of them: they are to be written again. */
void redis_rooms_lose(struct redis_rooms *r) WITHOUT(r->lock);

#endif
