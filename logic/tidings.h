/* tidings: who came and who went, kept for back ends that ask (GET /goim/events); events, as settings and documents call them. An
 * interface with two makers: tidings_memory.c, and in a cluster tidings_redis.c, where the scripts that register sessions write them.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_TIDINGS_H
#define LOGIC_TIDINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/config/config.h"
#include "logic/upstream.h"

/* What happened. The strings are the caller's. */
struct tiding {
	const char *kind; /* a word of events.kinds */
	int64_t time_ms;  /* wall time */
	const char *room; /* of "occupied" and "vacated", else NULL */
	uint64_t number;  /* of "unacked": that of the push in the user's stream, else 0: */
	const char *key;
	const char *user; /* its string; NULL: nobody */
	uint64_t session;
	const char *comet;
};

/* As a back end gets it, but for its id. NULL: no memory. */
json_t *tiding_json(const struct tiding *t);
/* In front of what a reader gets who asked for more than is there: so many are gone before it, which is counted; below 0: nobody knows how
 * many. NULL: no memory. */
json_t *tiding_lost(uint64_t id, int64_t lost);
/* The same object with its id; NULL stays NULL. */
json_t *tiding_with_id(json_t *object, uint64_t id);
/* A position that somebody shows. False: it is none. */
bool tiding_read_id(const char *text, uint64_t *id);

struct tidings {
	/* As upstream_read, into a list that is the caller's. */
	int (*read)(void *self, const struct upstream_query *query, json_t **list);
	void (*stop)(void *self);
	void *self; /* NULL: nothing is kept */
};

static inline int tidings_read(const struct tidings *t, const struct upstream_query *query, json_t **list)
{
	return t->read(t->self, query, list);
}

static inline void tidings_stop(const struct tidings *t)
{
	if (t->self != NULL)
		t->stop(t->self);
}

/* The newest events.length, in events.bytes of memory. 0, also where events.kinds wants none; -ENOMEM. */
int tidings_memory_new(const struct config *cfg, const char *comet, struct tidings *out);
void tidings_memory_free(struct tidings *t);
/* If it is of a kind that is wanted; its comet and time are filled in. What there is no memory for is lost, and counted so. Takes a lock of
 * LOCK_POOL. */
void tidings_memory_tell(const struct tidings *t, const struct tiding *tiding);

/* The stream comet:events. The same errors. */
int tidings_redis_new(const struct config *cfg, struct tidings *out);
void tidings_redis_free(struct tidings *t);

#endif
