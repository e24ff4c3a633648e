/* clock: see clock.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/base/clock.h"

#include <time.h>

#include "common/base/obj.h"

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	BUG_UNLESS(clock_gettime(id, &ts) == 0);
	return ts.tv_sec * CLOCK_SEC + ts.tv_nsec;
}

int64_t clock_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME) / CLOCK_MS;
}
