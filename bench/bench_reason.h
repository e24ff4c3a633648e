/* bench_reason: why connections failed or were lost, in words, and how often. SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_REASON_H
#define BENCH_BENCH_REASON_H

#include <stdint.h>

#define BENCH_REASONS      24
#define BENCH_REASON_BYTES 104

/* One for each way in which a connection failed or was lost. */
struct bench_reason {
	uint64_t count;
	char words[BENCH_REASON_BYTES]; /* empty: free */
};

/* Count one more of these words in a list of BENCH_REASONS. Once it is full, all others come last, under words of their own. */
void bench_reason_count(struct bench_reason *list, const char *words);
/* Add what another list has. */
void bench_reason_add(struct bench_reason *to, const struct bench_reason *from);

#endif
