/* redis_backoff: see redis_backoff.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_backoff.h"

#include <sys/random.h>

#include "common/base/clock.h"

#define FIRST_NS (50 * CLOCK_MS)
#define LAST_NS  (2 * CLOCK_SEC)

/* Between half and all of the time. */
void redis_backoff_failed(struct redis_backoff *b)
{
	int64_t wait = FIRST_NS << (b->failures < 6 ? b->failures : 6);
	uint32_t dice = 0;

	if (wait > LAST_NS)
		wait = LAST_NS;
	(void)!getrandom(&dice, sizeof(dice), GRND_NONBLOCK); /* without it there is less jitter, nothing worse */
	b->failures++;
	b->next_try_ns = clock_now_ns() + wait / 2 + (int64_t)(dice % 1024) * (wait / 2) / 1024;
}

void redis_backoff_came(struct redis_backoff *b)
{
	b->came_ns = clock_now_ns();
}

void redis_backoff_broke(struct redis_backoff *b)
{
	if (clock_now_ns() - b->came_ns > LAST_NS)
		b->failures = 0;
	redis_backoff_failed(b);
}

bool redis_backoff_is_loud(const struct redis_backoff *b)
{
	return b->failures % 8 == 0;
}
