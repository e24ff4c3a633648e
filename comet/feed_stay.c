/* feed_stay: the numbers of streams that are Redis's live on while they have members here: see feed_source.h.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "comet/feed_source.h"
#include "common/base/clock.h"

/* Numbers renewed at a time, */
#define STAYS 1000
/* and so often in a row: the others the next time. */
#define STAYS_MOST 20

/* Copies of the rooms whose numbers are to be renewed; how many. */
static size_t due_locked(struct feeds *s, const char **rooms, size_t most, int64_t now) NEEDS(s->lock)
{
	int64_t every = (s->idle_ttl_ns < s->position_ttl_ns ? s->idle_ttl_ns : s->position_ttl_ns) / 4;
	size_t n = 0;

	for (struct feed *f = s->oldest; f != NULL && n < most; f = f->newer)
		if (f->state == FEED_READY && now - f->stayed_ns > every && (rooms[n] = strdup(f->id)) != NULL) {
			f->stayed_ns = now;
			n++;
		}
	return n;
}

/* True: there may be more. */
static bool renew_some(struct feeds *s, const char **rooms)
{
	size_t n;

	lock_take(&s->lock);
	n = due_locked(s, rooms, STAYS, clock_now_ns());
	lock_drop(&s->lock);
	/* One that fails is renewed the next time: three more are in time. */
	if (n > 0)
		(void)s->logic->stay(s->logic->self, rooms, n);
	for (size_t i = 0; i < n; i++)
		free((char *)(uintptr_t)rooms[i]);
	return n == STAYS;
}

void feed_source_stay(struct feeds *s)
{
	const char **rooms;

	if (!feed_source_is(s) || (rooms = calloc(STAYS, sizeof(*rooms))) == NULL)
		return;
	for (int i = 0; i < STAYS_MOST && renew_some(s, rooms); i++)
		;
	free(rooms);
}
