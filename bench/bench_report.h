/* bench_report: what came out, as a table for people and as one JSON object for programs; both from the same rows.
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_REPORT_H
#define BENCH_BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/bench_options.h"
#include "bench/bench_push.h"
#include "bench/bench_reason.h"
#include "bench/histogram.h"
#include "bench/host_usage.h"

/* Everything that a run found, summed over the processes. */
struct bench_result {
	unsigned processes;
	bool interrupted;
	uint64_t started, online, failed, lost;
	uint64_t open; /* when online_usage was read; 0 if it never came to that */
	uint64_t delivered, duplicates, reordered, foreign, missing, missing_on_lost, echoes, bytes;
	struct histogram handshakes, latencies;
	struct bench_reason reasons[BENCH_REASONS];
	double connect_s;  /* from the first connect to the last answer to an auth */
	double run_s;      /* of the measured phase */
	double load_cpu_s; /* of the load processes, all phases */
	struct bench_push_result pushes;
	struct host_usage before, online_usage; /* before the first connection; with all of them online */
	struct host_usage run_begin, run_end;
};

/* Did everything arrive that should, once and in order? */
bool bench_result_is_clean(const struct bench_options *opt, const struct bench_result *r);

void bench_report_table(FILE *out, const struct bench_options *opt, const struct bench_result *r);
void bench_report_json(FILE *out, const struct bench_options *opt, const struct bench_result *r);

#endif
