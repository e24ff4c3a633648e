/* rate: how often something may happen. A token bucket as one number, the time at which it will be full again: nothing runs
 * in the background, and asking costs a few additions. No lock of its own: the owner of the number has one, or is one
 * thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_RATE_H
#define COMMON_BASE_RATE_H

#include <stdint.h>

struct rate {
	int64_t per_second; /* 0: no limit */
	int64_t burst_ns;   /* what gathers in this time may be used at once; never less than is asked for in one go */
};

/* One that may be changed while any thread goes by it. */
struct rate_live {
	_Atomic int64_t per_second, burst_ns;
};

static inline struct rate rate_now(const struct rate_live *live)
{
	return (struct rate){live->per_second, live->burst_ns};
}

static inline void rate_change(struct rate_live *live, const struct rate *to)
{
	live->per_second = to->per_second;
	live->burst_ns = to->burst_ns;
}

/* May n more happen now (clock_now_ns)? *full_ns is the bucket, 0 at first. 0: yes, and taken. Otherwise no, and nothing was taken:
 * ask again in so many nanoseconds. A rate of 0 always says yes. */
int64_t rate_take(const struct rate *rate, int64_t *full_ns, int64_t now, int64_t n);
/* n have happened: how many nanoseconds from now may the next ones? 0: at once. For what is slowed down, not refused. */
int64_t rate_pace(const struct rate *rate, int64_t *full_ns, int64_t now, int64_t n);

/* A bucket for each of many names (addresses, API keys), in memory of a fixed size however many there are: each name has two
 * buckets, by its hash, and the fuller one counts. Two names share both very seldom, and nobody outside can tell which. */
struct rate_table {
	int64_t *cells;
};

/* 0 or -ENOMEM (fini is then not needed, and does no harm). */
int rate_table_init(struct rate_table *t);
void rate_table_fini(struct rate_table *t);
/* rate_take for the bucket of this name. */
int64_t rate_table_take(struct rate_table *t, const struct rate *rate, const char *name, int64_t now, int64_t n);
/* One has happened, rate_pace for the bucket of this name: also where it should not have, and then the next ones wait for longer. */
void rate_table_spend(struct rate_table *t, const struct rate *rate, const char *name, int64_t now);
/* Would one be taken? The same answer as rate_table_take, and nothing is. */
int64_t rate_table_ask(const struct rate_table *t, const struct rate *rate, const char *name, int64_t now);

#endif
