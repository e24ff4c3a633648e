/* connection: the owner of one client: its transport, its mailbox, its deadline, who it is. Counted: the reader holds a
 * reference, also while it is parked, and so do the dispatcher and each thread that found it in a bucket or a room.
 *
 * Its life and its end, by the fields that say where it is; `reason` is given once, by the thread that comes first:
 *
 *   HANDSHAKE   in_handshake          deadline: cut, CLOSE_HANDSHAKE_TIMEOUT
 *       |  connection_end_handshake, by the reader
 *   SERVED                            deadline: of heartbeat or token, shutdown
 *       |  connection_forewarn, by a drain; the dispatcher says op 6, and sets forewarned
 *   SENT AWAY   sent_away             deadline: as before
 *       |  connection_replaced: the client has come to another comet, and its key with it
 *   MOVED       sent_away, moved_ns   deadline: half a second later, shutdown with CLOSE_REPLACED
 *       |
 *       |  connection_shutdown, also from each state above
 *   CLOSING     reason                deadline: cut; the channel is closed, what is queued is written
 *       |  connection_say_goodbye, by the dispatcher
 *   LINGERING   reason                deadline: a second later, cut; the peer may read all, and close
 *       |  the reader meets the end of the stream, and leaves
 *   GONE
 *
 * SERVED and SENT AWAY have a second deadline where the transport knows pings, in the same entry of the timer: then a silent peer
 * is pinged, or was lost: shutdown with CLOSE_PONG_TIMEOUT.
 *
 * connection_abort cuts from any of them: reason, the channel closed, the transport shut down, so that the reader leaves.
 * A connection is in its bucket before the handshake ends, so it may be SENT AWAY and MOVED while it still is in_handshake,
 * whose deadline then stands. moved_ns implies sent_away; forewarned implies sent_away, and no handshake. One that is
 * forewarned gets no goodbye for CLOSE_DRAINING or CLOSE_REPLACED: it was said.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_CONNECTION_H
#define COMET_CONNECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "comet/channel.h"
#include "comet/close_reason.h"
#include "comet/membership.h"
#include "comet/ticket.h"
#include "comet/timer.h"
#include "comet/transport/drop_reason.h"
#include "comet/transport/transport.h"
#include "common/base/log.h"
#include "common/base/park.h"
#include "common/wire/seat.h"

struct goodbye;
struct grants;
struct joins;
struct server;
struct whitelist;

/* Limits that hold a connection back, or keep something from it: labels of comet_limited_total. */
enum connection_limit {
	LIMIT_PACKETS,
	LIMIT_BYTES,
	LIMIT_FRAMES,
	LIMIT_BEFORE_AUTH,
	LIMIT_RENEWALS,
	LIMIT_UPSTREAM,
	LIMIT_ACCEPTS,
	LIMIT_JOINS,
	LIMIT_MAX
};

/* All that the connections of a server have in common. */
struct connection_options {
	struct channel_options channel;
	int64_t write_timeout_ns;
	struct goodbye *goodbye; /* other servers for its clients */
	struct park *park;       /* where its connections wait without a thread; NULL: each has two */
};

/* Where its reader stands in the story of serve.c. */
enum reader_stage { READER_HANDSHAKE, READER_PACKETS, READER_SEES_OFF, READER_JOINS };

struct connection {
	unsigned magic;
#define CONNECTION_MAGIC 0xc0117ec7
	atomic_uint refs;
	/* set once, before other threads know it */
	uint64_t id; /* in logs */
	int64_t born_ns;
	const struct connection_options *opt;
	struct transport *transport;
	struct server *server; /* whose it is; for the reader, opaque here */
	unsigned turn;         /* by which its timer and its buffers were picked, see round.h */
	/* set by the reader before the connection enters a bucket, read by all that found it there */
	struct seat seat; /* a copy; the key is NULL until it is authenticated */
	int64_t heartbeat_ns;
	enum dialect dialect;
	/* connection_explain's, for a reason that may have some (close_reason_has_words), or NULL; set by the reader before it gives that
	 * reason, read by threads that have seen the reason */
	char *refusal;
	/* reader only */
	char *left_room; /* in which it was at the end, or NULL */
	enum reader_stage stage;
	bool in_hand; /* the packet in the ring's slot was read, and waits for its turn to ask logic */
	bool in_bucket;
	struct grants *grants;   /* NULL: none */
	struct grants *asked;    /* passes for the packet in hand; NULL: none */
	uint32_t seen_off_bytes; /* that came after the goodbye */
	enum ticket ticket;
	int64_t held_until_ns; /* it may send again then; 0: it is not held back */
	int64_t renewed_ns;    /* when logic was last told that it is still here */
	int64_t packets_ns;    /* the buckets of limits.packets and limits.bytes */
	int64_t bytes_ns;
	int64_t frames_ns;   /* ... of frames that are no packet, */
	int64_t strange_ns;  /* of packets before AUTH, */
	int64_t renewals_ns; /* of new tokens, */
	int64_t upstream_ns; /* and of packets for a back end */
	/* the baton's holder only */
	bool forewarned;     /* it was told to leave: op 6 is not said twice */
	bool said;           /* op 6 of the goodbye was written, or there is none */
	uint8_t op_6_why;    /* an enum close_reason, of the op 6 that was begun */
	uint32_t op_6_begun; /* bytes of it that are written, while it is not whole */
	/* anybody */
	struct whitelist *_Atomic trace;     /* NULL: not traced */
	_Atomic uint32_t delivered, dropped; /* messages, for the line of its end */
	_Atomic int64_t trace_until_ns;      /* its end */
	struct channel channel;
	_Atomic enum close_reason reason;
	atomic_bool in_handshake;
	atomic_bool sent_away;    /* told to leave, or about to be */
	_Atomic int64_t moved_ns; /* its key has moved: the end; INT64_MAX: it has not */
	struct parked parked;     /* the park's, while no thread is its reader */
	/* set by the reader, read by the timer's thread too */
	_Atomic int64_t heartbeat_due_ns; /* the end, unless a heartbeat comes before, or the handshake ends */
	_Atomic int64_t wake_ns;          /* its reader, who is asleep, goes on; INT64_MAX: it is not */
	_Atomic int64_t expires_ns;       /* the end, unless a new token comes before; INT64_MAX: never */
	_Atomic int64_t issued_s;         /* when its token was issued; 0: it does not say. Read by who keeps out */
	/* the timer's; filed for the earliest of the four, or for the next ping */
	struct timer_entry deadline;
	struct membership place; /* in the room of AUTH and op 12 */
	/* set before a bucket has it; the reader's, but for the memberships in it. NULL: a client without streams */
	struct joins *joins;
	/* under the server's roster lock */
	struct connection *roster_next, *roster_prev;
};

/* One reference, the caller's; takes over the transport. opt outlives it. 0 or -ENOMEM (transport is then still the
 * caller's). */
int connection_new(struct transport *t, const struct connection_options *opt, struct connection **out);
struct connection *connection_ref(struct connection *c);
/* The last reference closes the descriptor and frees. *c becomes NULL. Not under a lock. */
void connection_unref(struct connection **c);

/* So many messages were lost to it for this reason: counts them. Any thread. */
void connection_dropped(struct connection *c, enum drop_reason why, uint32_t n);

/* Words of its own for the reason that it is given next, if that may have some. The first ones stay; "" is none. Without memory the
 * table's must do. The reader. */
void connection_explain(struct connection *c, const char *words);
/* End it politely, for this reason; the first reason wins, and false tells that it was not this one. The queue is
 * still written, then op 6 if the reason has a code, then the peer has a second to read it. From now on a deadline bounds
 * all of that. Any thread, never blocks; takes the channel's and the timer's lock. */
bool connection_shutdown(struct connection *c, enum close_reason why);
/* It is replaced by a newer connection on another comet: ended for that. A client that was told to leave has itself opened
 * the new connection: pushes that were on their way here when its key moved are still delivered, for half a second. Any thread. */
void connection_replaced(struct connection *c);
/* Have it told by op 6 that this server is going away, and serve it on: a client that connects elsewhere now, and then closes,
 * misses nothing. Any thread, never blocks; takes the channel's lock. */
void connection_forewarn(struct connection *c);
/* End it at once: nothing more is read or written. */
void connection_abort(struct connection *c, enum close_reason why);

/* Is it on its way out? */
static inline bool connection_is_closing(const struct connection *c)
{
	return atomic_load(&c->reason) != CLOSE_NONE;
}

/* The peer has until then to come in; `timer` cuts it off. 0 or -ENOMEM. Before others know it, once. */
int connection_begin_handshake(struct connection *c, struct timer *timer, int64_t until_ns);
/* The peer is in: from now on its deadline is that of heartbeats. Reader only, once. */
void connection_end_handshake(struct connection *c);
/* A heartbeat has come: another heartbeat's time for the peer. Reader only, after the handshake. */
void connection_heard(struct connection *c);
/* No heartbeat is missed for so long, because the reader will be busy and not hear it. Reader only, after the handshake. */
void connection_excuse(struct connection *c, int64_t ns);
/* No heartbeat is due until connection_resume_heartbeat; in the handshake, whose deadline goes on, both do nothing. Returns when the
 * next would have been. The reader. */
int64_t connection_suspend_heartbeat(struct connection *c);
void connection_resume_heartbeat(struct connection *c, int64_t due_ns);
/* From now on it may stay so long, whatever heartbeats come; 0: for ever. Reader only; files nothing while in the handshake. */
void connection_set_lifetime(struct connection *c, int64_t lifetime_ms);
/* Does it end at some time, unless a new token comes? */
static inline bool connection_expires(const struct connection *c)
{
	return atomic_load(&c->expires_ns) != INT64_MAX;
}

/* Park it until then, or until it is closed. Reader only, who is none any more when this returns; it has called channel_expect. */
void connection_park_until(struct connection *c, int64_t until_ns);

/* The action of the deadline when it comes up: the timer's fire. In the handshake it aborts, later it is a missed heartbeat, a
 * token that is over, or a ping that is due or not answered, and while closing it ends the patience. It also wakes a reader that
 * is parked until then. */
void connection_expired(struct timer_entry *e);

/* Write op 6 for the reason, if it has a code, and let the peer see the end. The caller holds the baton. TRANSPORT_WAIT: as
 * long as the write deadline allows. 0: said, or it cannot be; -EAGAIN: with TRANSPORT_NOW, it does not go now: say it again. */
int connection_say_goodbye(struct connection *c, enum transport_wait wait);

/* Write what connection_forewarn wants said, or the rest of it. The caller holds the baton. 0, or -errno of the write. */
int connection_say_leave(struct connection *c, enum transport_wait wait);

/* The connection as the fields that start a log line: conn, key, peer. peer is a buffer of the caller's. */
#define CONNECTION_FIELDS(c, peer)                                                                                     \
	log_id("conn", (c)->id), log_str("key", (c)->seat.key), log_str("peer", connection_peer((c), (peer)))
const char *connection_peer(const struct connection *c, char peer[TRANSPORT_PEER_BYTES]);

#endif
