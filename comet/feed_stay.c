/* feed_stay: the numbers of streams that are Redis's live on while they have members here: see feed_source.h.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "comet/feed_source.h"
#include "common/base/clock.h"

/* Numbers renewed at a time, */
#define STAYS 1000
/* looked at under one hold of the lock, which pushes wait for, */
#define LOOKS 2000
/* and so many in all: the others the next time. */
#define STAYS_MOST 20000

/* Copies of the names of some whose numbers are to be renewed; how many. *done: that was the round. */
static size_t due_locked(struct feeds *s, const char **names, int64_t now, bool *done) NEEDS(s->lock)
{
	int64_t every = (s->idle_ttl_ns < s->position_ttl_ns ? s->idle_ttl_ns : s->position_ttl_ns) / 4;
	struct feed *f = s->stay != NULL ? s->stay : s->oldest;
	size_t n = 0;

	for (unsigned looked = 0; f != NULL && looked < LOOKS && n < STAYS; looked++, f = f->newer)
		if (f->state == FEED_READY && now - f->stayed_ns > every && (names[n] = strdup(f->id)) != NULL) {
			f->stayed_ns = now;
			n++;
		}
	s->stay = f;
	*done = f == NULL;
	return n;
}

/* How many. */
static size_t renew_some(struct feeds *s, const char **names, bool *done)
{
	size_t n;

	lock_take(&s->lock);
	n = due_locked(s, names, clock_now_ns(), done);
	lock_drop(&s->lock);
	/* One that fails is renewed the next time: three more are in time. */
	if (n > 0)
		(void)s->logic->stay(s->logic->self, names, n);
	for (size_t i = 0; i < n; i++)
		free((char *)(uintptr_t)names[i]);
	return n;
}

void feed_source_stay(struct feeds *s)
{
	const char **names;
	bool done = false;

	if (!feed_source_is(s) || (names = calloc(STAYS, sizeof(*names))) == NULL)
		return;
	for (size_t n = 0; !done && n < STAYS_MOST;)
		n += renew_some(s, names, &done);
	free(names);
}
