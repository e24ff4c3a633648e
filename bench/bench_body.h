/* bench_body: the body of a benchmark's push: which run, which push, when. SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_BODY_H
#define BENCH_BENCH_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_BODY_MIN 96
#define BENCH_BODY_MAX 65536

/* The body of push number n: JSON with the run, the number and the time. body_bytes from BENCH_BODY_MIN on. */
void bench_body_write(char *body, size_t body_bytes, const char *run, uint32_t n, int64_t sent_ns);
/* Read one back; false for a body of another run or of somebody else. */
bool bench_body_read(const uint8_t *body, size_t body_bytes, const char *run, uint32_t *n, int64_t *sent_ns);

#endif
