/* clock: see clock.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/base/clock.h"

#include <stdio.h>
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

void clock_text(int64_t wall_ms, char text[CLOCK_TEXT_BYTES])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	size_t n = 0;

	if (gmtime_r(&seconds, &tm) != NULL)
		n = strftime(text, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + n, CLOCK_TEXT_BYTES - n, ".%03dZ", (int)(wall_ms % 1000));
}
