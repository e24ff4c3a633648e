/* clock: the time. Deadlines are in nanoseconds on the monotonic clock. Tests replace these functions at link
 * time (tests/unit/seam.h). SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_MS  INT64_C(1000000)
#define CLOCK_SEC INT64_C(1000000000)

/* Monotonic; never 0. */
int64_t clock_now_ns(void);
/* Wall time since the epoch, for logs and tokens. */
int64_t clock_wall_ms(void);

/* Such a wall time in UTC: 2026-01-09T10:22:31.480Z. */
#define CLOCK_TEXT_BYTES 40
void clock_text(int64_t wall_ms, char text[CLOCK_TEXT_BYTES]);

#endif
