/* redis_clock: see redis_clock.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_clock.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/counters.h"
#include "common/base/log.h"

/* Tokens and bans say seconds; below this nobody notices. */
#define APART_MS 5000
/* An answer that took longer says too little. */
#define QUICK_NS CLOCK_SEC

static atomic_llong apart_ms; /* how far this machine's wall clock is ahead of Redis's; 0: not far */

/* The way of the answer is in it, too. */
static int64_t seconds_of(int64_t ms)
{
	return (ms + (ms < 0 ? -500 : 500)) / 1000;
}

void redis_clock_compare(int64_t redis_ms, int64_t asked_ns)
{
	int64_t ahead_ms = clock_wall_ms() - redis_ms;
	bool is_apart = llabs(ahead_ms) > APART_MS;
	bool was_apart;

	if (clock_now_ns() - asked_ns > QUICK_NS)
		return;
	was_apart = atomic_exchange(&apart_ms, is_apart ? ahead_ms : 0) != 0;
	if (is_apart == was_apart)
		return;
	count_add(COUNT_CLOCKS_DIFFER, is_apart ? 1 : -1);
	if (is_apart)
		LOG(LOG_ERROR, log_what(EVENT_CLOCKS_DIFFER), log_i64("ahead_s", seconds_of(ahead_ms)));
	else
		LOG(LOG_INFO, log_what(EVENT_CLOCKS_AGREE));
}

void redis_clock_note(char *text, size_t bytes)
{
	int64_t ahead_ms = atomic_load(&apart_ms);

	if (ahead_ms != 0)
		(void)snprintf(text, bytes,
			       "The clock of this machine is %lld s %s that of Redis: see that both are set by NTP",
			       (long long)seconds_of(llabs(ahead_ms)), ahead_ms > 0 ? "ahead of" : "behind");
}
