/* people: the connections of comets, asked for from logic. An interface: a comet alone fills it with its own (comet/alone.c), a cluster
 * asks the comets (people_redis.c). SPDX-License-Identifier: MIT */
#ifndef LOGIC_PEOPLE_H
#define LOGIC_PEOPLE_H

#include <stddef.h>

#include "common/wire/who.h"

/* Lists that are made at one time, since each may be a walk through all connections. */
#define PEOPLE_AT_ONCE 8

struct people {
	/* A page of the connections of these n comets (a comet alone is the only one, and looks at no names); silent[i] says whether the
	 * i-th has not answered, whose connections are then missing. Waits for at most logic.timeout. 0; -EBUSY: PEOPLE_AT_ONCE are being
	 * made; -ERR_NO_LOGIC, -ENOMEM. Only after 0 there is a page, the caller's. */
	int (*list)(void *self, const char *const *servers, size_t n, const struct who_query *query,
		    struct who_page *page, bool *silent);
	/* Callers that wait return now, and later ones at once. NULL: none waits. */
	void (*stop)(void *self);
	void *self;
};

/* How the call is written. */
static inline int people_list(const struct people *p, const char *const *servers, size_t n,
			      const struct who_query *query, struct who_page *page, bool *silent)
{
	return p->list(p->self, servers, n, query, page, silent);
}

static inline void people_stop(const struct people *p)
{
	if (p->stop != NULL)
		p->stop(p->self);
}

/* Those of a cluster. `instance` names this logic among all, also over time; it, the pipe and the clock outlive it. 0, -ENOMEM, -EAGAIN,
 * -errno. */
struct config;
struct redis_clock;
struct redis_pipe;
int people_redis_new(const struct config *cfg, struct redis_pipe *pipe, struct redis_clock *clock, const char *instance,
		     struct people *out);
/* Nobody calls it any more. */
void people_redis_free(struct people *p);

#endif
