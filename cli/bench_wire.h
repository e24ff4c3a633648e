/* bench_wire: how packets lie on a benchmark's connection. A wire is a table of pure functions, so that the load
 * process is the same over TCP and over what else may carry the protocol. SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_WIRE_H
#define CLI_BENCH_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/packet.h"

#define BENCH_WIRE_BODY_MAX   (128 * 1024) /* longest body taken */
#define BENCH_WIRE_WRAP_BYTES 512 /* longest hello, and longest packet of ours with all that the wire puts around it */

/* Takes one packet; its body is valid during the call. Negative: stop here. */
typedef int bench_wire_take(void *arg, const struct packet *p);

struct bench_wire {
	const char *name;
	/* What is said before the first packet, and how much of the answer to it is whole: its length, 0 for not yet,
	 * -ERR_* for one that is no yes. NULL where a connection is ready at once. */
	size_t (*hello)(char *out, size_t out_bytes, const char *host, const char *port);
	ssize_t (*welcome)(const uint8_t *bytes, size_t n);
	/* A packet as it goes out: head and body, at most BENCH_WIRE_WRAP_BYTES in all. Returns its length. */
	size_t (*wrap)(uint8_t *out, int32_t op, int32_t seq, const void *body, uint32_t body_bytes);
	/* Hand each whole packet to take(). Returns how many bytes are done with, the rest is to be seen again with more
	 * behind it; or -ERR_PACKET_*, or what take() returned, negative. */
	ssize_t (*feed)(uint8_t *bytes, size_t n, bench_wire_take *take, void *arg);
};

/* By name, or NULL. */
const struct bench_wire *bench_wire_find(const char *name);

#endif
