/* bench_share: the memory through which the load processes and the one that directs them talk.
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_SHARE_H
#define BENCH_BENCH_SHARE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/bench_options.h"
#include "bench/bench_reason.h"
#include "bench/histogram.h"

/* The phase of the load processes. Only the directing process sets it, and only forward. */
enum bench_phase { PHASE_CONNECT, PHASE_RUN, PHASE_END };

/* The findings of one load process. Its counters are read while it works, the rest once it has ended. */
struct bench_share {
	/* counters: written by its process, read by the directing one; relaxed, they only ever grow, but for open */
	atomic_uint_fast64_t started;   /* attempts to connect */
	atomic_uint_fast64_t online;    /* that were authenticated */
	atomic_uint_fast64_t failed;    /* that were not */
	atomic_uint_fast64_t lost;      /* online, and then closed by the server */
	atomic_uint_fast64_t open;      /* online now */
	atomic_uint_fast64_t delivered; /* messages of this run, each counted once */
	atomic_uint_fast64_t duplicates;
	atomic_uint_fast64_t reordered;
	atomic_uint_fast64_t foreign; /* messages that are not of this run */
	atomic_uint_fast64_t echoes;
	atomic_uint_fast64_t bytes; /* read once online */
	atomic_bool connected;      /* has tried all its connections, and each came out one way or the other */
	/* written by its process, valid once it has ended */
	struct histogram handshakes;
	struct histogram latencies; /* of deliveries, or of echoes */
	struct bench_reason reasons[BENCH_REASONS];
	uint64_t missing;         /* accepted pushes times connections, less what arrived */
	uint64_t missing_on_lost; /* of these, on connections that the server closed */
	double cpu_s;
	int64_t last_online_ns;
};

/* One mapping, shared by all. */
struct bench_memory {
	atomic_int phase;
	uint32_t pushes_max;
	size_t words;     /* of `accepted` */
	size_t map_bytes; /* of all of this */
	struct bench_share shares[BENCH_PROCESSES_MAX];
	uint64_t accepted
		[]; /* a bit for each push that the API took; written by the directing process before PHASE_END */
};

static inline void bench_count(atomic_uint_fast64_t *counter, uint64_t n)
{
	/* One writer: no need for a locked instruction. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline uint64_t bench_read(const atomic_uint_fast64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
