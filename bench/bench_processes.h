/* bench_processes: the load processes, as the one that directs them sees them: it forks them, tells them the phase through
 * shared memory, and reads their counters. They never talk to each other. SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_PROCESSES_H
#define BENCH_BENCH_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/bench_load.h"
#include "bench/bench_options.h"
#include "bench/bench_share.h"

struct bench_process {
	pid_t pid; /* 0: not started, or waited for */
	struct bench_part part;
};

struct bench_processes {
	const struct bench_options *opt;
	struct bench_memory *memory;
	int news_fd; /* readable: one has set `connected` */
	unsigned n;
	struct bench_process list[BENCH_PROCESSES_MAX];
};

/* Map the memory, open news_fd, and plan how many there will be, with a limit of files that allows it.
 * 0, or -errno with a line on stderr; fini is then needed, too. */
int bench_processes_init(struct bench_processes *p, const struct bench_options *opt);
void bench_processes_fini(struct bench_processes *p);

/* Fork all of them; they begin to connect. 0, or -errno: some may have been started, finish is needed. */
int bench_processes_start(struct bench_processes *p);
void bench_processes_set_phase(struct bench_processes *p, enum bench_phase phase);
/* Let all of them leave, by force in the end. -ECHILD if one did not end well, since then its numbers are not to be trusted. */
int bench_processes_finish(struct bench_processes *p);

/* Has every connection of all of them come out one way or the other? */
bool bench_processes_are_connected(const struct bench_processes *p);
/* A counter over all of them: its offset in struct bench_share is what names it. */
uint64_t bench_processes_sum(const struct bench_processes *p, size_t counter);

#endif
