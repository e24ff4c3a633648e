/* backoff: see backoff.h. Pure, but for the random bytes of backoff_draw_ms. SPDX-License-Identifier: MIT */
#include "client/backoff.h"

#include <sys/random.h>

#define SENT_SHARE 16

int64_t backoff_delay_ms(unsigned attempt, uint32_t random)
{
	double bound_ms = BACKOFF_BASE_MS;

	for (unsigned i = 1; i < attempt && bound_ms < BACKOFF_MAX_MS; i++)
		bound_ms *= BACKOFF_FACTOR;
	if (bound_ms > BACKOFF_MAX_MS)
		bound_ms = BACKOFF_MAX_MS;
	return 1 + (int64_t)((bound_ms - 1) * random / UINT32_MAX);
}

int64_t backoff_draw_ms(unsigned attempt)
{
	uint32_t random = 0;

	/* Without random bytes, which no kernel of today leaves us, all wait for the same time, which is better than not to wait. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = UINT32_MAX / 2;
	return backoff_delay_ms(attempt, random);
}

int64_t backoff_sent_ms(int64_t delay_ms)
{
	return 1 + (delay_ms - 1) / SENT_SHARE;
}
