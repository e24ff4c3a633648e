/* bench: what the parts of `comet-cli bench` share: the options, and the memory through which the load processes and
 * the one that directs them talk. The story is told by bench_run.c; a load process is bench_load.c.
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "bench/bench_wire.h"
#include "bench/histogram.h"
#include "bench/host_usage.h"
#include "cli/api_call.h"

#define BENCH_CONNECTIONS_MAX 1000000
#define BENCH_PROCESSES_MAX   64
#define BENCH_BODY_MIN        96
#define BENCH_BODY_MAX        65536
#define BENCH_PUSHES_MAX      1000000
#define BENCH_SERVERS_MAX     16
#define BENCH_REASONS         24
#define BENCH_REASON_BYTES    104
#define BENCH_ROOM_TYPE       "bench"

enum bench_kind { BENCH_CONNECT, BENCH_ECHO, BENCH_FANOUT, BENCH_CHURN };

/* One of those that the connections are shared out to. */
struct bench_server {
	char port[6];
	struct sockaddr_storage address;
	socklen_t address_bytes;
};

struct bench_options {
	enum bench_kind kind;
	const char *host;
	struct bench_server servers[BENCH_SERVERS_MAX]; /* on that host; connections take them in turn */
	size_t n_servers;
	const struct bench_wire *wire;
	int64_t connections;
	int64_t window;       /* handshakes under way at once, over all processes */
	int64_t processes;    /* 0: as many as the file limit asks for */
	int64_t duration_ns;  /* of what is measured once all are online */
	int64_t settle_ns;    /* from the last one online to the look at memory: late allocations, delayed frees */
	int64_t handshake_ns; /* for one connection, from connect to the answer to its auth */
	int64_t mid;          /* of the first connection; each further one has the next */
	int32_t op;           /* of the pushes */
	double rate;          /* pushes a second */
	int64_t body_bytes;
	struct api_options api;
	pid_t pids[HOST_USAGE_PIDS_MAX]; /* of the server */
	size_t n_pids;
	bool json;
	/* found out, not given */
	char run[17]; /* hex; names the room and marks the bodies of this run */
};

/* What the load processes do now. Set by the directing process alone, only ever forward. */
enum bench_phase { PHASE_CONNECT, PHASE_RUN, PHASE_END };

/* One for each way in which a connection failed or was lost. */
struct bench_reason {
	uint64_t count;
	char words[BENCH_REASON_BYTES]; /* empty: free */
};

/* What one load process found. The counters are read while it works, the rest once it has ended. */
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
	atomic_bool connected; /* has tried all its connections, and each came out one way or the other */
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

/* How many pushes a fan-out makes. */
uint32_t bench_pushes(const struct bench_options *opt);

/* Be a load process, up to PHASE_END. 0, or -errno of what could not be set up. */
int bench_load(const struct bench_options *opt, const struct bench_part *part);

/* The body of push number n: JSON with the run, the number and the time. body_bytes from BENCH_BODY_MIN on. */
void bench_body_write(char *body, size_t body_bytes, const char *run, uint32_t n, int64_t sent_ns);
/* Read one back; false for a body of another run or of anybody else. */
bool bench_body_read(const uint8_t *body, size_t body_bytes, const char *run, uint32_t *n, int64_t *sent_ns);

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
