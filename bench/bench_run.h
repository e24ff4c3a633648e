/* bench_run: a benchmark from start to end: processes, phases, progress. SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_RUN_H
#define BENCH_BENCH_RUN_H

#include "bench/bench_options.h"
#include "bench/bench_report.h"

/* Run the benchmark of these options, with a line of progress on stderr each second. SIGINT and SIGTERM end it early, with the
 * result so far. 0, or -errno with a line on stderr that says what could not be had. */
int bench_run(const struct bench_options *opt, struct bench_result *out);

#endif
