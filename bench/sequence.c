/* sequence: see sequence.h. Pure. SPDX-License-Identifier: MIT */
#include "bench/sequence.h"

enum sequence_verdict sequence_take(struct sequence *s, uint32_t n)
{
	uint64_t bit = UINT64_C(1) << n % 64;

	if ((s->bits[n / 64] & bit) != 0)
		return SEQUENCE_DUPLICATE;
	s->bits[n / 64] |= bit;
	if (n < s->ahead)
		return SEQUENCE_REORDERED;
	s->ahead = n + 1;
	return SEQUENCE_NEXT;
}

uint64_t sequence_missing(const struct sequence *s, const uint64_t *sent, size_t words)
{
	uint64_t missing = 0;

	for (size_t i = 0; i < words; i++)
		missing += (uint64_t)__builtin_popcountll(sent[i] & ~s->bits[i]);
	return missing;
}
