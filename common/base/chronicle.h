/* chronicle: what a program's most telling figures were in each second of the last five minutes, and in each minute of the last
 * day. It is as large as it will ever be from the start, 65 KB. Steps go by the monotonic clock; the wall clock
 * only says, when somebody asks, what time they were. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_CHRONICLE_H
#define COMMON_BASE_CHRONICLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/counters.h"

#define CHRONICLE_FIGURES_MAX 10
#define CHRONICLE_SECONDS     300
#define CHRONICLE_MINUTES     1440

struct chronicle;

struct chronicle_figure {
	const char *name;
	bool grows; /* it is a total, whose growth is noted; otherwise its value is */
};

/* The first second begins now, in which totals are 0. The figures outlive it. 0 or -ENOMEM. */
int chronicle_new(const struct chronicle_figure *figures, unsigned n, struct chronicle **out);
void chronicle_free(struct chronicle **c);

/* When the next second is over, on clock_now_ns()'s scale: time for chronicle_note, whose thread asks. */
int64_t chronicle_due_ns(struct chronicle *c);
/* A figure that nobody knows now. A total that is known again is of the seconds after that. */
#define CHRONICLE_UNKNOWN INT64_MIN

/* The figures are so now; other negative ones count as 0. One thread's, after each second. Where it comes a few seconds late, what has
 * grown since the last time is shared out evenly; where it comes later, nobody knows of that time, and it stays blank. */
void chronicle_note(struct chronicle *c, const int64_t *figures);

/* As JSON: the last `steps` seconds, or minutes, that are over, or as many as there are. docs/http-api.md has its form. Any thread.
 * 0, or -ENOMEM: then there may be a part of it. */
int chronicle_expose(struct chronicle *c, bool by_minutes, unsigned steps, struct counters_text *out);

#endif
