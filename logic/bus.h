/* bus: the way from logic to the comets. An interface with two makers: bus_memory.c (a call into the one comet of this process)
 * and bus_redis.c (streams). Order: two pushes made one after the other reach each connection in that order.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_BUS_H
#define LOGIC_BUS_H

#include "common/wire/fate.h"
#include "common/wire/wire.h"

/* So many at most in one step, in which Redis does nothing else. */
#define BUS_NAMES_MAX 256

/* Keys, or users. */
struct bus_names {
	bool are_users;
	const char *const *v;
	size_t n;
};

struct bus_flight;

struct bus {
	/* Hand a push to one comet (WIRE_KEYS, WIRE_KICK), or to all that it concerns (server = NULL). Returns when it is
	 * accepted: from then on it is delivered or counted.
	 *   0; -EAGAIN the comet's queue stayed full; -ESTALE one of these keys (WIRE_KEYS) is at another comet now, nobody
	 *   was told; -ERR_NO_LOGIC (Redis is unreachable); -ENOMEM */
	int (*push)(void *self, const char *server, const struct wire_push *push);
	/* Look at the connections that a push to keys or to a room is for. NULL: this bus does not see them. */
	void (*look)(void *self, const struct wire_push *push, struct fate *fate);
	/* Hand a push (WIRE_KEYS, its keys left out) to the comets of these keys or users, wherever they are in this instant; to a
	 * key that is named twice once. At most BUS_NAMES_MAX. fate: who is online, and who is not. The errors of push, but for
	 * -ESTALE. NULL: there is no such way, and the caller finds them first. */
	int (*push_to)(void *self, const struct bus_names *names, const struct wire_push *push, struct fate *fate);
	/* The first half of push_to, or (names NULL) of push to all that it concerns, for who makes many pushes one after the other:
	 * it waits for nobody, and keeps the order. Names, push and fate stay where they are until end, the second half, which is
	 * due after each begin that returned 0, and waits; one that failed then may be behind pushes that were begun after it.
	 * The errors of push_to, of either half. NULL: there is nothing to wait for in push. */
	int (*begin)(void *self, const struct bus_names *names, const struct wire_push *push, struct fate *fate,
		     struct bus_flight **out);
	int (*end)(void *self, struct bus_flight **flight);
	void *self;
};

/* How the calls are written. */
static inline int bus_push(const struct bus *b, const char *server, const struct wire_push *push)
{
	return b->push(b->self, server, push);
}

static inline int bus_push_to(const struct bus *b, const struct bus_names *names, const struct wire_push *push,
			      struct fate *fate)
{
	return b->push_to(b->self, names, push, fate);
}

/* The bus of a program that runs alone: every push goes to this sink, and is looked at there. `memory` is the owner's and outlives the bus. */
struct bus_memory {
	int (*sink)(void *self, const struct wire_push *push);
	void (*look)(void *self, const struct wire_push *push, struct fate *fate); /* or NULL */
	void *sink_self;
};
struct bus bus_memory(struct bus_memory *memory);

/* The bus of a cluster: one stream for each comet. `instance` names this logic among all, also over time; it and the pipe,
 * which nobody else uses, outlive the bus. 0 or -ENOMEM. */
struct redis_pipe;
struct config;
int bus_redis_new(const struct config *cfg, struct redis_pipe *pipe, const char *instance, struct bus *out);
/* Before the first push: the generation of the data, as schema_check says. One that differs by then means a loss. */
void bus_redis_begin(struct bus *b, const char *generation);
void bus_redis_free(struct bus *b);

#endif
