/* bench_push: the thread that pushes to the benchmark's room through the HTTP API, at a fixed rate. It keeps to the
 * clock, not to the answers: a push that is due goes out as soon as the one before is answered, and how late it was is
 * part of the result. SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_PUSH_H
#define BENCH_BENCH_PUSH_H

#include <stdint.h>

#include "bench/bench_options.h"
#include "bench/bench_share.h"
#include "bench/histogram.h"
#include "cli/http_client.h"

struct bench_push_result {
	uint64_t due;      /* by the clock, up to the end */
	uint64_t sent;     /* of these */
	uint64_t accepted; /* by the API */
	uint64_t refused;  /* answered, but not with code 0 */
	uint64_t unknown;  /* no whole answer: may have been carried out or not */
	int64_t latest_ns; /* how late the latest one went out */
	struct histogram calls;
	char words[HTTP_CLIENT_WORDS_BYTES]; /* of the first that was not accepted, or empty */
};

struct bench_push;

/* Start pushing, for opt->duration_ns. The accepted ones are marked in memory->accepted. A descriptor that becomes
 * readable at the end is in *done_fd; it is closed by bench_push_stop. 0 or -errno. */
int bench_push_start(const struct bench_options *opt, struct bench_memory *memory, struct bench_push **out,
		     int *done_fd);
/* End it, after the call under way if there is one, and wait for it. *p becomes NULL. */
void bench_push_stop(struct bench_push **p, struct bench_push_result *out);

#endif
