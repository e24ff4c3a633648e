/* histories_redis: the numbered streams of a cluster, which are Redis's. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "cluster/streams.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/rate.h"
#include "logic/histories.h"

/* As a comet's clients make them at once: comet/feed.c. */
#define NEW_BURST 10000

struct histories_redis {
	/* set once */
	const struct config *cfg;
	struct redis_pipe *pipe;
	struct rate new_rate;
	/* under lock */
	struct lock lock;
	int64_t new_full_ns;
};

/* May so many numbers be made? */
static bool may_make(struct histories_redis *h, size_t n)
{
	bool may;

	lock_take(&h->lock);
	may = rate_take(&h->new_rate, &h->new_full_ns, clock_now_ns(), (int64_t)n) == 0;
	lock_drop(&h->lock);
	return may;
}

/* Make numbers for those of `all` that have none: as many as stand side by side in one write, since Redis may be far. */
static void make_numbers(const struct histories_redis *h, int64_t deadline, struct resume *all, size_t n)
{
	for (size_t i = 0, missing; i < n; i += missing + 1) {
		for (missing = 0; i + missing < n && all[i + missing].rc == -EBUSY; missing++)
			all[i + missing].may_make = true;
		if (missing > 0)
			streams_resume(h->pipe, h->cfg, deadline, &all[i], missing);
	}
}

/* Numbers are made only for those who have none, which most have: so they are asked for first. */
static int read_all(struct histories_redis *h, struct resume *all, size_t n)
{
	const int64_t deadline = clock_now_ns() + h->cfg->redis_timeout * CLOCK_MS;
	size_t missing = 0;

	streams_resume(h->pipe, h->cfg, deadline, all, n);
	for (size_t i = 0; i < n; i++)
		missing += all[i].rc == -EBUSY;
	if (missing > 0 && may_make(h, missing))
		make_numbers(h, deadline, all, n);
	for (size_t i = 0; i < n; i++)
		if (all[i].rc < 0)
			return all[i].rc;
	return 0;
}

static int read_history(void *self, const struct histories_query *query, struct histories_found *found)
{
	struct resume r = {.room = query->name, .since = query->since, .last = query->last};
	int rc = read_all(self, &r, 1);

	if (rc < 0)
		return rc;
	*found = (struct histories_found){
		.at = r.newest - r.n, .newest = r.newest, .gap = r.gap, .messages = r.messages, .n = r.n};
	return 0;
}

static int read_positions(void *self, const char *const *names, size_t n, uint64_t *numbers)
{
	struct resume *all = calloc(n, sizeof(*all));
	int rc;

	if (all == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		all[i].room = names[i];
	rc = read_all(self, all, n);
	for (size_t i = 0; i < n; i++) {
		if (all[i].rc < 0)
			continue;
		numbers[i] = all[i].newest;
		resume_fini(&all[i]);
	}
	free(all);
	return rc;
}

static int read_confirmed(void *self, const char *name, struct acks *out)
{
	struct histories_redis *h = self;

	return streams_confirmed(h->pipe, name, clock_now_ns() + h->cfg->redis_timeout * CLOCK_MS, out);
}

int histories_redis_new(const struct config *cfg, struct redis_pipe *pipe, struct histories *out)
{
	struct histories_redis *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return -ENOMEM;
	h->cfg = cfg;
	h->pipe = pipe;
	h->new_rate.per_second = cfg->stream_new;
	if (cfg->stream_new > 0)
		h->new_rate.burst_ns = NEW_BURST * CLOCK_SEC / cfg->stream_new;
	lock_init(&h->lock, LOCK_POOL);
	*out = (struct histories){
		.read = read_history, .positions = read_positions, .confirmed = read_confirmed, .self = h};
	return 0;
}

void histories_redis_free(struct histories *histories)
{
	struct histories_redis *h = histories->self;

	lock_fini(&h->lock);
	free(h);
	*histories = (struct histories){0};
}
