/* bench_options: what a benchmark is to do, as the command line says it. SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_OPTIONS_H
#define BENCH_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "bench/bench_wire.h"
#include "bench/host_usage.h"
#include "cli/api_call.h"

#define BENCH_CONNECTIONS_MAX 1000000
#define BENCH_PROCESSES_MAX   64
#define BENCH_PUSHES_MAX      1000000
#define BENCH_SERVERS_MAX     16
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
	struct ssl_ctx_st
		*tls; /* of all connections, where the wire wants it; the caller's to bench_tls_context_free */
};

/* Its rows for the command's table. */
extern const struct cli_option bench_option_rows[];

/* Fill it from the arguments of this command, defaults for those that are not there; the servers' names are resolved. -1 to go on,
 * otherwise the exit code, and it has said why. */
int bench_options_read(struct bench_options *opt, const struct cli_command *self, int argc, char **argv);

/* How many pushes a fan-out makes. */
uint32_t bench_pushes(const struct bench_options *opt);

#endif
