/* histogram: how often which duration, in steps that grow with the value, so that a few KiB hold every duration from
 * 1 ns to 18 minutes to within 1.6 %. One writer; read it when the writer is done. Plain memory: may be shared between
 * processes. SPDX-License-Identifier: MIT */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6 /* 64 steps from each power of two to the next */
#define HISTOGRAM_MAX_BITS  40
#define HISTOGRAM_STEPS     ((HISTOGRAM_MAX_BITS - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS)

/* All zero is an empty one. */
struct histogram {
	uint64_t count;
	int64_t sum_ns;
	int64_t max_ns;
	uint64_t steps[HISTOGRAM_STEPS];
};

/* A negative duration counts as 0, one beyond the range as its end; max_ns and sum_ns are exact. */
void histogram_add(struct histogram *h, int64_t ns);
/* Add all of from to h. */
void histogram_merge(struct histogram *h, const struct histogram *from);
/* The duration that `percent` of all (0 to 100) do not exceed: the upper end of its step, at most max_ns. 0 if empty. */
int64_t histogram_percentile(const struct histogram *h, double percent);

#endif
