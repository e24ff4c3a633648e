/* joined: a room that a connection has joined by JOIN, and all of them, with its user's stream: what joins.h and own_stream.h work with. SPDX-License-Identifier: MIT */
#ifndef COMET_JOINED_H
#define COMET_JOINED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comet/membership.h"

struct feed;

/* A room that is joined. Once made it stays with its connection, free for another room, since push threads may have listed it. */
struct joined {
	struct membership member;
	struct joined *next; /* set once */
	/* under the bucket's `places`: */
	bool busy; /* a JOIN of it is under way, or it is replayed: until that is over, only the reader takes it out */
	bool to_leave; /* ... and is to do so then, for a back end, unless that leads it in again before */
	/* while it is busy the reader's, else under `places`, too */
	struct feed *feed; /* held; NULL: the room has no numbers */
	/* the reader's */
	bool replays;    /* deaf: what the client missed is being queued, up to `sent` by now */
	unsigned asked;  /* the JOIN that named it last */
	unsigned rounds; /* how often all was queued, and more had come */
	uint64_t sent;
};

struct joins {
	/* set before a bucket has the connection: it has its user's stream, by `own`, which is in no room */
	bool has_own;
	bool key_is_made; /* by the server, for this connection alone */
	struct joined own;
	/* the reader's */
	uint64_t confirmed; /* of that stream */
	_Atomic(struct joined *)
		all; /* the free ones, too; it only grows, under `places`, and anybody who holds the connection may walk */
	size_t n;    /* under `places` */
	/* the reader's */
	size_t replaying;
	unsigned asked;     /* JOINs */
	int64_t asked_ns;   /* the buckets of limits.joins, */
	int64_t replays_ns; /* and of limits.replay */
};

/* May be NULL, of a client without streams. Any thread. */
static inline bool joins_has_own(const struct joins *js)
{
	return js != NULL && js->has_own;
}

/* 0 or -ENOMEM. */
int joins_new(struct joins **out);
/* One that is free, or a new one, with `places` of the bucket; NULL: no memory. */
struct joined *joins_place(struct joins *js, struct connection *c);
/* With the connection's last reference. *js becomes NULL; it may be NULL. */
void joins_free(struct joins **js);

#endif
