/* bench_reason: see bench_reason.h. SPDX-License-Identifier: MIT */
#include "bench/bench_reason.h"

#include <stdio.h>
#include <string.h>

static void add(struct bench_reason *list, const char *words, uint64_t n)
{
	struct bench_reason *last = &list[BENCH_REASONS - 1];

	for (struct bench_reason *r = list; r < last; r++) {
		if (r->count == 0)
			snprintf(r->words, sizeof(r->words), "%s", words);
		if (strncmp(r->words, words, sizeof(r->words) - 1) == 0) {
			r->count += n;
			return;
		}
	}
	snprintf(last->words, sizeof(last->words), "other reasons");
	last->count += n;
}

void bench_reason_count(struct bench_reason *list, const char *words)
{
	add(list, words, 1);
}

void bench_reason_add(struct bench_reason *to, const struct bench_reason *from)
{
	for (size_t i = 0; i < BENCH_REASONS; i++)
		if (from[i].count > 0)
			add(to, from[i].words, from[i].count);
}
