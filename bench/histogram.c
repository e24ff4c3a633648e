/* histogram: see histogram.h. Pure. SPDX-License-Identifier: MIT */
#include "bench/histogram.h"

/* Durations below 64 have a step each. Above, the highest 7 bits choose: the exponent 64 steps, the 6 bits below the
 * highest one of these. */
static unsigned step_of(uint64_t ns)
{
	unsigned shift;

	if (ns >> HISTOGRAM_MAX_BITS != 0)
		return HISTOGRAM_STEPS - 1;
	if (ns >> HISTOGRAM_STEP_BITS == 0)
		return (unsigned)ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_STEP_BITS;
	return (shift << HISTOGRAM_STEP_BITS) + (unsigned)(ns >> shift);
}

/* The longest duration of a step: step_of() read backwards. */
static int64_t step_end_ns(unsigned step)
{
	unsigned shift = step >> HISTOGRAM_STEP_BITS;

	if (shift == 0)
		return step;
	shift--;
	return (int64_t)((((uint64_t)step - ((uint64_t)shift << HISTOGRAM_STEP_BITS) + 1) << shift) - 1);
}

void histogram_add(struct histogram *h, int64_t ns)
{
	if (ns < 0)
		ns = 0;
	h->count++;
	h->sum_ns += ns;
	if (ns > h->max_ns)
		h->max_ns = ns;
	h->steps[step_of((uint64_t)ns)]++;
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
	h->count += from->count;
	h->sum_ns += from->sum_ns;
	if (from->max_ns > h->max_ns)
		h->max_ns = from->max_ns;
	for (unsigned i = 0; i < HISTOGRAM_STEPS; i++)
		h->steps[i] += from->steps[i];
}

int64_t histogram_percentile(const struct histogram *h, double percent)
{
	double wanted = (double)h->count * percent / 100;
	uint64_t seen = 0;

	if (h->count == 0)
		return 0;
	for (unsigned i = 0; i < HISTOGRAM_STEPS - 1; i++) {
		seen += h->steps[i];
		if (seen > 0 && (double)seen >= wanted)
			return step_end_ns(i) < h->max_ns ? step_end_ns(i) : h->max_ns;
	}
	return h->max_ns;
}
