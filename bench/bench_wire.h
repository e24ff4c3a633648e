/* bench_wire: how packets lie on a benchmark's connection. A wire is a table of pure functions, so that the load
 * process is the same over TCP and over WebSocket. TLS lies below it (bench_tls). SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_WIRE_H
#define BENCH_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/wire/packet.h"

#define BENCH_WIRE_BODY_MAX   (4 << 20) /* longest body taken */
#define BENCH_WIRE_WRAP_BYTES 512 /* longest hello, and longest packet of ours with all that the wire puts around it */
#define BENCH_WIRE_PING_BYTES 125

/* Takes all that a wire finds. Pointers are valid during the call; a negative result stops the wire. */
struct bench_wire_sink {
	int (*packet)(void *arg, const struct packet *p);
	int (*ping)(void *arg, const uint8_t *payload, size_t payload_bytes); /* at most BENCH_WIRE_PING_BYTES */
	void *arg;
};

struct bench_wire {
	const char *name;
	int32_t port; /* the usual one; 0: there is none */
	bool tls;     /* its bytes go over TLS */
	/* The bytes before the first packet, and how much of the answer to them is whole: its length, 0 for not yet,
	 * -EPROTO for one that is no yes. NULL where a connection is ready at once. */
	size_t (*hello)(char *out, size_t out_bytes, const char *host, const char *port);
	ssize_t (*welcome)(const uint8_t *bytes, size_t n);
	/* A packet as it goes out: head and body, at most BENCH_WIRE_WRAP_BYTES in all. Returns its length. */
	size_t (*wrap)(uint8_t *out, int32_t op, int32_t seq, const void *body, uint32_t body_bytes);
	/* The answer to a ping, at most BENCH_WIRE_WRAP_BYTES. NULL where there are none. */
	size_t (*pong)(uint8_t *out, const uint8_t *payload, size_t payload_bytes);
	/* Hand all that is whole to the sink; the bytes may be changed. Returns how many are done with, the rest is to be
	 * seen again with more behind it; or -ERR_PACKET_*, -ERR_EOF where the peer says that it closes, -EPROTO, or
	 * what the sink returned, negative. */
	ssize_t (*feed)(uint8_t *bytes, size_t n, const struct bench_wire_sink *sink);
};

/* By name, or NULL. */
const struct bench_wire *bench_wire_find(const char *name);

#endif
