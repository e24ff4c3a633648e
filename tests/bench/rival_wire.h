/* rival_wire: what a load process says to the servers that Comet is measured beside, and what it makes of their answers: Comet's packets,
 * MQTT, NATS, and nchan's messages, the same over WebSocket where a server has that. It trusts the servers.
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_BENCH_RIVAL_WIRE_H
#define TESTS_BENCH_RIVAL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RIVAL_ROOM      (-1)
#define RIVAL_OUT_BYTES 1024 /* the longest that is said */

enum rival_event {
	RIVAL_INCOMPLETE, /* of what comes next not all is there */
	RIVAL_NOTHING,    /* something that does not matter */
	RIVAL_HELLO,      /* say `hello` now */
	RIVAL_UP,         /* one of `ups` answers after which a client is in */
	RIVAL_PONG,
	RIVAL_MESSAGE,
	RIVAL_STRANGE, /* not of the protocol */
};

/* The first thing in some bytes; for a message where in them its body begins. */
struct rival_seen {
	enum rival_event event;
	size_t bytes; /* that it takes */
	const uint8_t *body;
	size_t body_bytes;
};

struct rival_wire {
	const char *name;
	bool ws;          /* frames of WebSocket around it */
	const char *path; /* ... and of the request that opens it, with the user's number */
	unsigned ups;
	bool waits; /* for the server's first words, before `hello` */
	/* Write it to out; return its bytes. user: its number, or RIVAL_ROOM. NULL: nothing. */
	size_t (*hello)(uint8_t *out, int user);
	size_t (*ping)(uint8_t *out);
	size_t (*publisher_hello)(uint8_t *out);
	size_t (*publish)(uint8_t *out, int user, const char *payload, size_t n);
	/* The first thing in bytes, of which there is one at least. */
	struct rival_seen (*see)(const uint8_t *bytes, size_t n);
};

/* What a push carries, as text of RIVAL_PAYLOAD_BYTES. */
#define RIVAL_PAYLOAD_BYTES 128
struct rival_payload {
	unsigned phase, number;
	int64_t sent_ns;
	unsigned user; /* or (unsigned)RIVAL_ROOM */
};
void rival_payload_write(const struct rival_payload *p, char text[RIVAL_PAYLOAD_BYTES]);
/* False: it is none. */
bool rival_payload_read(const uint8_t *body, size_t n, struct rival_payload *p);

/* NULL: there is none of that name. */
const struct rival_wire *rival_wire_find(const char *name);

/* A request that opens a WebSocket. */
size_t rival_wire_request(const struct rival_wire *w, uint8_t *out, int user);
/* n bytes at out + RIVAL_FRAME_BYTES become a frame, if w has frames; *from is where it begins. Returns its bytes. */
#define RIVAL_FRAME_BYTES 8
size_t rival_wire_frame(const struct rival_wire *w, uint8_t *out, size_t n, const uint8_t **from);

/* How far a connection has been read; all zero at first. */
struct rival_reader {
	bool upgraded; /* the answer to the request has come, which is a RIVAL_HELLO */
	size_t left;   /* of the frame */
};

/* What w->see does, also with frames around it. */
struct rival_seen rival_wire_see(const struct rival_wire *w, struct rival_reader *r, const uint8_t *bytes, size_t n);

#endif
