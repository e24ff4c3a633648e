/* fake_transport: a transport without a socket. The test says what the peer sends and how much it takes, and reads what it
 * got. It outlives the connection, which only marks it as freed. SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_TRANSPORT_H
#define TESTS_UNIT_FAKE_TRANSPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "comet/connection.h"
#include "comet/transport/transport.h"
#include "common/base/peer.h"

#define FAKE_SENT_MAX  64
#define FAKE_GOT_MAX   16384
#define FAKE_BODY_MAX  300
#define FAKE_UNLIMITED UINT32_MAX

struct fake_packet {
	int16_t ver;
	int32_t op;
	int32_t seq;
	uint8_t kind; /* enum packet_kind */
	uint32_t body_bytes;
	char body[FAKE_BODY_MAX + 1];
};

struct fake_transport {
	struct transport base;
	struct peer peer; /* 192.0.2.1:1234 */
	struct connection_options options;
	bool parks; /* reads don't wait; set before its connection is there */
	int bell;   /* an eventfd: read has something to return */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* under mutex: from the peer */
	struct fake_packet sent[FAKE_SENT_MAX];
	unsigned n_sent, n_read;
	int read_rc; /* what read returns once all that was sent is read; 0: it waits */
	/* under mutex: to the peer */
	struct fake_packet *got;
	unsigned n_got;
	unsigned takes;      /* so many packets more, then the peer reads nothing */
	int write_rc;        /* what every write fails with; 0: none */
	bool write_late;     /* a write that waits for the peer fails with -ETIMEDOUT */
	bool write_held;     /* every write stays inside until this is false */
	int64_t ping_due_ns; /* of one that knows pings */
	int ping_rc;         /* what a ping comes to */
	unsigned pings;
	unsigned in_write;
	unsigned writes;
	/* under mutex: the end */
	bool finished, shut, freed;
	int finish_code; /* what it was finished with */
	char finish_why[32];
};

void fake_init(struct fake_transport *f);
/* It says goodbye in words of its own, as a WebSocket does. */
void fake_says_goodbye(struct fake_transport *f);
/* It knows pings, as a WebSocket does; the first is due then. */
void fake_knows_pings(struct fake_transport *f, int64_t due_ns);
/* Its connection has freed it, or there never was one. */
void fake_fini(struct fake_transport *f);

/* The peer sends a packet; or ends the stream: read then returns rc. */
void fake_send(struct fake_transport *f, int32_t op, int32_t seq, const char *body);
void fake_send_ver(struct fake_transport *f, int16_t ver, int32_t op, int32_t seq, const char *body);
/* ... or a ping, or what is no packet. */
void fake_send_kind(struct fake_transport *f, enum packet_kind kind, const char *body);
void fake_end(struct fake_transport *f, int rc);

/* The peer takes so many packets more. */
void fake_take(struct fake_transport *f, unsigned packets);
/* Writes stay inside (true) or go on (false). */
void fake_hold_writes(struct fake_transport *f, bool held);
void fake_fail_writes(struct fake_transport *f, int rc);

/* Looks from outside, each under the mutex. */
unsigned fake_got(struct fake_transport *f);
unsigned fake_got_op(struct fake_transport *f, int32_t op); /* how many of this op */
unsigned fake_pings(struct fake_transport *f);
bool fake_is_writing(struct fake_transport *f);
bool fake_is_finished(struct fake_transport *f);
bool fake_is_shut(struct fake_transport *f);
bool fake_is_freed(struct fake_transport *f);
/* The i-th packet; it does not move, and does not change. */
const struct fake_packet *fake_packet(struct fake_transport *f, unsigned i);

/* A connection on it, with this key and session, that accepts every operation. */
struct connection *fake_connection(struct fake_transport *f, const char *key, uint64_t session_id,
				   const struct channel_options *opt);

#endif
