/* upstream: packets that clients send with an application's operation, on their way to the back end. An interface with two
 * makers: upstream_memory.c (bounded by bytes; who has most loses first) and, in a cluster, a Redis stream.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_UPSTREAM_H
#define LOGIC_UPSTREAM_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/wire/packet.h"
#include "common/wire/seat.h"

struct upstream_entry {
	char id[32];      /* opaque to the reader; orders entries; "0" is before all */
	struct seat seat; /* the sender's; a copy, without its number */
	int32_t op;
	uint8_t *body;
	size_t body_bytes;
};

/* A list that the caller frees with upstream_found_fini. */
struct upstream_found {
	struct upstream_entry *entries;
	size_t n;
};
void upstream_found_fini(struct upstream_found *found);

struct http_request;

/* Entries after this id, at most so many; waits so long for the first. */
struct upstream_query {
	const char *after;
	size_t max;
	int64_t wait_ms;
	const struct http_request *caller; /* or NULL: who waits, until it hangs up */
};

/* A reader that waits looks so often whether its caller is still there. */
#define UPSTREAM_LOOK_NS (200 * CLOCK_MS)

struct upstream {
	/* Keep a copy. 0, -ENOMEM, -ERR_NO_LOGIC. */
	int (*append)(void *self, const struct seat *seat, const struct packet *p);
	/* 0 (also with no entries), -EINVAL: no such id, -EBUSY: too many wait already, -ENOMEM, -ERR_NO_LOGIC. */
	int (*read)(void *self, const struct upstream_query *query, struct upstream_found *found);
	/* From now on read does not wait, and those that wait return. Any thread. NULL: waits are short by themselves. */
	void (*stop)(void *self);
	void *self;
};

/* How the calls are written. */
static inline int upstream_append(const struct upstream *u, const struct seat *seat, const struct packet *p)
{
	return u->append(u->self, seat, p);
}

static inline int upstream_read(const struct upstream *u, const struct upstream_query *query,
				struct upstream_found *found)
{
	return u->read(u->self, query, found);
}

static inline void upstream_stop(const struct upstream *u)
{
	if (u->stop != NULL)
		u->stop(u->self);
}

/* As many packets as take so many bytes of memory; where one more has no space, the oldest of the user who has most goes.
 * 0 or -ENOMEM. */
int upstream_memory_new(size_t max_bytes, struct upstream *out);
/* Nobody reads or appends any more. */
void upstream_memory_free(struct upstream *u);

/* The stream comet:up of a cluster, redis.upstream_length long; appends over the pipe, which outlives it. 0 or -ENOMEM. */
struct redis_pipe;
struct config;
int upstream_redis_new(const struct config *cfg, struct redis_pipe *pipe, struct upstream *out);
void upstream_redis_free(struct upstream *u);

#endif
