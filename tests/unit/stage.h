/* stage: a server with a logic that does as the test says, for the rooms from operator upward. One server at a time.
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_STAGE_H
#define TESTS_UNIT_STAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "comet/server.h"
#include "tests/unit/fake_transport.h"

/* What logic says to the next connect, and what it has been told. */
struct stage_logic {
	/* set by the test before anybody connects */
	struct wire_session session; /* its accepts are copied for each */
	bool counts_sessions;        /* each connect's session is one more than the last's */
	int connect_rc, heartbeat_rc, receive_rc, renew_rc, reauth_rc, permit_rc;
	struct wire_renewal renewal; /* the answer to a new token */
	/* counted */
	atomic_uint connects, reauths, arrived, disconnects, heartbeats, joined, received, renewed;
	/* under mutex */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool held; /* connect stays inside until this is false */
	char token[64], peer[64], reauth_key[WIRE_KEY_BYTES], disconnected[WIRE_KEY_BYTES],
		joined_room[WIRE_ROOM_BYTES];
	uint64_t disconnected_session;
	int32_t received_op;
	char received_body[64];
	/* what renew_online was told, and tells */
	struct wire_load load;
	size_t n_rooms;
	char room[WIRE_ROOM_BYTES];
	int64_t room_count, told_count;
};

struct stage {
	bool parks; /* set between stage_set and stage_up: its connections are parked */
	struct config cfg;
	struct server server;
	struct stage_logic logic;
};

/* A server with four buckets, one timer, and deadlines that no test waits for; settings may be changed in between. Logic
 * admits everybody as "key", mid 7, session 1, with heartbeats every minute. */
void stage_set(struct stage *s);
void stage_up(struct stage *s);
/* Everybody has left by now, or is about to: waits for the last thread, and takes all down. */
void stage_down(struct stage *s);

/* Keep connects inside logic (true), or let them go on. */
void stage_hold_connects(struct stage *s, bool held);

/* A connection in its bucket and room, with no thread of its own; nobody holds its baton, as if its dispatcher slept. */
struct connection *stage_member(struct stage *s, struct fake_transport *f, const char *key, const char *room);
/* Out again, closed and freed. */
void stage_leave(struct stage *s, struct connection **c);

/* A connection as a door lets it in: admitted, not yet served. */
struct connection *stage_guest(struct stage *s, struct fake_transport *f);

#endif
