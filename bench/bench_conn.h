/* bench_conn: one connection of a load process. It connects, authenticates, says what its kind of benchmark says, and counts
 * what comes. All connections of a process are on one thread and one epoll. SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_CONN_H
#define BENCH_BENCH_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/bench_options.h"
#include "bench/bench_share.h"
#include "bench/bench_source.h"
#include "bench/sequence.h"
#include "client/client.h"

#define BENCH_READ_BYTES (BENCH_WIRE_BODY_MAX + 1024) /* the longest packet with all around it */

enum bench_conn_state { CONN_NONE, CONN_CONNECTING, CONN_TLS, CONN_HELLO, CONN_AUTH, CONN_ONLINE, CONN_GONE };

struct bench_conn {
	int fd;
	enum bench_conn_state state;
	uint32_t held_bytes, unsent_bytes;
	struct ssl_st *tls; /* NULL without */
	uint8_t *held;      /* received: a packet that is not whole yet */
	uint8_t *unsent;    /* what the socket did not take; then nothing else is sent */
	int64_t since_ns;   /* start of the handshake, or the time of the echo under way */
	bool counted;       /* was online when the run began: every accepted push is due to it */
	struct sequence seen;
};

/* The connections of a process, and all that they share. */
struct bench_crowd {
	const struct bench_options *opt;
	struct bench_share *share;
	int64_t first;       /* number of conns[0] among all connections of the run */
	uint32_t pushes_max; /* pushes of this run have lower numbers */
	int epoll;
	struct bench_conn *conns;
	uint8_t *buffer; /* of BENCH_READ_BYTES */
	struct bench_source source;
	enum bench_phase phase;
	int64_t handshaking;           /* how many are under way */
	int64_t now_ns;                /* at the last event */
	struct client_goodbye goodbye; /* the last one that came, for the connection at hand */
};

/* Begin to connect. A failure is counted and ends it. */
void bench_conn_start(struct bench_crowd *crowd, struct bench_conn *c);
/* Do what epoll says can be done. A failure is counted and ends it; one that churns begins again once it is online. */
void bench_conn_event(struct bench_crowd *crowd, struct bench_conn *c, uint32_t events);
/* Send a heartbeat, or one whose answer is timed: an echo. 0 or -errno, and the caller ends it. */
int bench_conn_beat(struct bench_crowd *crowd, struct bench_conn *c);
int bench_conn_echo(struct bench_crowd *crowd, struct bench_conn *c);
/* Count the end that the server, the network or the machine brought about, for reason rc, and close. */
void bench_conn_end(struct bench_crowd *crowd, struct bench_conn *c, int rc);
/* Close, uncounted. May have happened before. */
void bench_conn_drop(struct bench_conn *c);

#endif
