/* bench_load: a load process: many connections on one thread. SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_LOAD_H
#define BENCH_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/bench_options.h"
#include "bench/bench_share.h"

/* The part of one load process. */
struct bench_part {
	unsigned number;
	int64_t first, connections; /* of all connections: from the first on, so many */
	int64_t window;
	bool spread;    /* over several source addresses */
	int command_fd; /* readable: the phase has changed */
	int news_fd;    /* to be written to when `connected` was set */
	struct bench_share *share;
	struct bench_memory *memory;
};

/* Be a load process, up to PHASE_END. 0, or -errno of what could not be set up. */
int bench_load(const struct bench_options *opt, const struct bench_part *part);

#endif
