/* counters: numbers for operators. Sharded and relaxed: counting takes no lock and shares no cache line between busy
 * threads. counters.def is the table. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_COUNTERS_H
#define COMMON_BASE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

enum counter {
#define counter(NAME, name, help)              COUNT_##NAME,
#define gauge(NAME, name, help)                COUNT_##NAME,
#define counter_by(NAME, name, label, help)    COUNT_##NAME,
#define histogram(NAME, name, unit, help, ...) COUNT_##NAME,
#include "common/base/counters.def"
#undef counter
#undef gauge
#undef counter_by
#undef histogram
	COUNT_MAX
};

#define COUNTER_LABELS_MAX 64 /* values of one label */

/* Any thread, any time, also under locks. */
void count_add(enum counter c, int64_t n);
void count_by_add(enum counter c, unsigned label_value, int64_t n);
static inline void count(enum counter c)
{
	count_add(c, 1);
}
static inline void count_by(enum counter c, unsigned label_value)
{
	count_by_add(c, label_value, 1);
}

/* One more value of a histogram, in the unit of its row (nanoseconds for CLOCK_SEC). As cheap as two counters. */
void count_observe(enum counter c, int64_t value);

/* The sum over all shards (and labels, for a counter_by; of a histogram, how many values): right once the counting threads
 * are at rest. */
int64_t counters_read(enum counter c);
int64_t counters_read_by(enum counter c, unsigned label_value);
/* The sum of all values of a histogram. */
int64_t counters_read_sum(enum counter c);

/* The names of a counter_by's label values, at file scope beside the enum that they are of: COUNTER_LABELS(CLOSED, labels,
 * CLOSE_MAX). A program that links this file has them before its main. Values whose name is NULL are left out of the text; one
 * may be named later, with a store that releases. */
#define COUNTER_LABELS(NAME, names, n)                                                                                 \
	__attribute__((constructor)) static void label_##NAME(void)                                                    \
	{                                                                                                              \
		counters_label(COUNT_##NAME, names, n);                                                                \
	}                                                                                                              \
	_Static_assert((n) <= COUNTER_LABELS_MAX, "each label value has a cell")
void counters_label(enum counter c, const char *const *names, unsigned n);

/* A growing text, malloc'ed; the owner frees text. `failed` is set where memory ran out. */
struct counters_text {
	char *text;
	size_t bytes;
	size_t capacity;
	int failed;
};
void counters_text_add(struct counters_text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prometheus text exposition format 0.0.4 of all counters, then of the process (process_resident_memory_bytes,
 * process_virtual_memory_bytes, process_open_fds, process_max_fds, process_threads, process_cpu_seconds_total,
 * process_start_time_seconds), appended to out. */
void counters_expose(struct counters_text *out);

#endif
