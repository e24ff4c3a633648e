/* redis_clock: Redis's clock, as far as the last answer told it. Where several machines have to agree on a moment, it is
 * this clock that they mean. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_CLOCK_H
#define COMMON_REDIS_REDIS_CLOCK_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"

struct redis_clock {
	atomic_llong offset_ms; /* Redis's wall clock less our monotonic one; 0: not known yet */
};

/* An answer that came now said this time. It is older by the way of the answer, so that our idea of Redis's clock is late
 * rather than early: what we take for over may have a moment left, never the other way round. Any thread. */
static inline void redis_clock_set(struct redis_clock *c, int64_t redis_ms)
{
	atomic_store_explicit(&c->offset_ms, redis_ms - clock_now_ns() / CLOCK_MS, memory_order_relaxed);
}

/* Milliseconds; 0: not known yet. Any thread. */
static inline int64_t redis_clock_ms(struct redis_clock *c)
{
	int64_t offset = atomic_load_explicit(&c->offset_ms, memory_order_relaxed);

	return offset != 0 ? clock_now_ns() / CLOCK_MS + offset : 0;
}

/* The answer to what was asked at asked_ns says this time: does this machine's wall clock, by which tokens and bans end, say another?
 * That is told when it begins, and when it is over. One thread. */
void redis_clock_compare(int64_t redis_ms, int64_t asked_ns);
/* Where it does: the words for /readyz; text stays as it is otherwise. Any thread. */
void redis_clock_note(char *text, size_t bytes);

#endif
