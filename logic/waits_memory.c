/* waits_memory: see waits_memory.h. SPDX-License-Identifier: MIT */
#include "logic/waits_memory.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/http/http_request.h"

void waits_memory_init(struct waits_memory *w, enum lock_rank rank, bool (*has_news)(const void *self, uint64_t after),
		       const void *self)
{
	*w = (struct waits_memory){.has_news = has_news, .self = self};
	lock_init(&w->lock, rank);
	lock_cond_init(&w->more);
}

void waits_memory_fini(struct waits_memory *w)
{
	(void)pthread_cond_destroy(&w->more);
	lock_fini(&w->lock);
}

static void wait_for_one_locked(struct waits_memory *w, uint64_t after, const struct upstream_query *query)
	NEEDS(w->lock)
{
	int64_t deadline = clock_now_ns() + query->wait_ms * CLOCK_MS, look = 0;
	bool gone = false;

	while (!w->has_news(w->self, after) && !w->stopped && !gone && clock_now_ns() < deadline) {
		look = clock_now_ns() + UPSTREAM_LOOK_NS;
		if (lock_wait_until(&w->more, &w->lock, look < deadline ? look : deadline) || query->caller == NULL)
			continue;
		lock_drop(&w->lock);
		gone = http_is_abandoned(query->caller);
		lock_take(&w->lock);
	}
}

int waits_memory_wait_locked(struct waits_memory *w, uint64_t after, const struct upstream_query *query)
{
	if (w->readers >= WAITS_MEMORY_MAX && query->wait_ms > 0 && !w->has_news(w->self, after))
		return -EBUSY;
	w->readers++;
	wait_for_one_locked(w, after, query);
	w->readers--;
	return 0;
}

void waits_memory_tell(struct waits_memory *w)
{
	(void)pthread_cond_broadcast(&w->more);
}

void waits_memory_stop(struct waits_memory *w)
{
	lock_take(&w->lock);
	w->stopped = true;
	lock_drop(&w->lock);
	waits_memory_tell(w);
}
