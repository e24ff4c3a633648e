/* histories: the numbered streams of rooms and users, as back ends ask for them. An interface: a comet alone fills it with its feeds
 * (comet/alone.c), a cluster with Redis's (histories_redis.c). SPDX-License-Identifier: MIT */
#ifndef LOGIC_HISTORIES_H
#define LOGIC_HISTORIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/acks.h"
#include "common/wire/message.h"

/* What is asked of a stream that is kept: as a client's JOIN does. */
struct histories_query {
	const char *name; /* common/base/kept.h */
	uint64_t since;   /* a position, or 0 */
	uint64_t last;    /* so many of the newest, or 0; with since: if that is a gap */
};

struct histories_found {
	uint64_t at;     /* the messages follow it */
	uint64_t newest; /* the newest number */
	bool gap;        /* something is missing before */
	struct message **messages;
	size_t n;
};

struct histories {
	/* 0; -EBUSY: too many numbers are made (stream.new); -ERR_NO_LOGIC; -ENOMEM. Only after 0 there is something to free. */
	int (*read)(void *self, const struct histories_query *query, struct histories_found *found);
	/* The newest number of each stream, which are all kept; made where there is none. The same. */
	int (*positions)(void *self, const char *const *names, size_t n, uint64_t *numbers);
	/* What the devices of a user have confirmed of his stream, for acks_fini. The same. */
	int (*confirmed)(void *self, const char *name, struct acks *out);
	void *self;
};

/* Those of a cluster; the pipe outlives them. 0 or -ENOMEM. */
struct redis_pipe;
struct config;
int histories_redis_new(const struct config *cfg, struct redis_pipe *pipe, struct histories *out);
void histories_redis_free(struct histories *h);

void histories_found_fini(struct histories_found *found);

#endif
