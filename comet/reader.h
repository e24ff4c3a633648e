/* reader: how the reader of a connection waits. With parking it has a thread only while it has something to do, as a goroutine has:
 * what would block parks the connection, and the thread that finds it ready tells the story of serve.c on from there. Without
 * parking it is a thread that blocks. SPDX-License-Identifier: MIT */
#ifndef COMET_READER_H
#define COMET_READER_H

#include <stdbool.h>

#include "comet/connection.h"
#include "comet/server.h"

/* Besides 0 and -errno: the connection is parked, and may be another thread's by now. Who is told this touches it no more, and
 * returns the same; the next thread begins where c->stage says. */
#define READER_PARKED 1

/* Does it park? */
static inline bool reader_parks(const struct connection *c)
{
	return c->opt->park != NULL;
}

/* transport_read has said -EAGAIN: wait until there is something. READER_PARKED, or -errno: it cannot wait. */
int reader_wait_for_bytes(struct connection *c);
/* The slot for the next packet, the same until channel_ring_set_adv; waits for one. 0; READER_PARKED; -EPIPE: closed; -ENOMEM. */
int reader_wait_for_slot(struct connection *c, struct packet **p);
/* Wait until half of the queue of messages is free; its heartbeats wait behind. `in_hand`: with a packet in the slot, which then comes
 * again. 0; READER_PARKED; -EPIPE: closed. */
int reader_wait_for_queue(struct connection *c, bool in_hand);
/* Nothing more is to be read from it until then, unless that is later already; 0: read on. Its heartbeats wait behind what it has sent,
 * and it may have sent a lot. After the handshake. */
void reader_hold_until(struct connection *c, int64_t until_ns);
/* Wait until c->held_until_ns, if it is held back. 0; READER_PARKED; -EPIPE: closed meanwhile. */
int reader_hold_back(struct connection *c);
/* The connection has had its turn, and others wait for a thread. READER_PARKED. */
int reader_yield(struct connection *c);
/* Is the goodbye said? 0; READER_PARKED. */
int reader_join(struct connection *c);

/* About to do with the packet in the slot what waits for another program; `waits`: false if it does not, after all. 0: reader_unblock
 * with the same when that is over; READER_PARKED: its turn comes later, and c->in_hand says so until then; -EPIPE: closed. */
int reader_block(struct connection *c, bool waits);
void reader_unblock(struct connection *c, bool waits);

/* A thread has a parked connection again. */
void reader_resumed(void);
/* It has a reader for the last time. */
void reader_leaves(struct connection *c);

/* Start the park of a server's connections, as many waiters as cores; before the first comes. 0, or -errno of park_start. */
int reader_start_park(struct server *s, void (*resume)(struct parked *p));
/* The last has gone. Waits for its threads; does nothing for a server that has none. */
void reader_stop_park(struct server *s);

#endif
