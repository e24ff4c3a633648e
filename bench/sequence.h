/* sequence: which of the numbered messages one receiver has seen, one bit each, so that losses, duplicates and changes
 * of order are counted and not estimated. SPDX-License-Identifier: MIT */
#ifndef BENCH_SEQUENCE_H
#define BENCH_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>

#define SEQUENCE_WORDS(max) (((size_t)(max) + 63) / 64)

enum sequence_verdict {
	SEQUENCE_NEXT,      /* first time, after all that came before */
	SEQUENCE_REORDERED, /* first time, but one with a higher number was here already */
	SEQUENCE_DUPLICATE,
};

struct sequence {
	uint64_t *bits; /* SEQUENCE_WORDS(max) words, the owner's, zero at first */
	uint32_t ahead; /* one above the highest number seen */
};

/* Number n, below max, has arrived. */
enum sequence_verdict sequence_take(struct sequence *s, uint32_t n);

/* How many of the numbers in `sent` (as many words) have not arrived. */
uint64_t sequence_missing(const struct sequence *s, const uint64_t *sent, size_t words);

#endif
