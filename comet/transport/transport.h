/* transport: the only thing that knows what a connection is made of. serve and dispatch exist once, for all of them.
 *
 * Threads: read, park, has_packet and taken belong to the reader; write, ping and finish_writing to the holder of the baton;
 * shutdown and ping_due_ns to any thread; free to the thread that drops the last reference. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_TRANSPORT_H
#define COMET_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comet/transport/haul.h"
#include "common/base/park.h"
#include "common/wire/packet.h"
#include "common/wire/upgrade.h"

#define TRANSPORT_PEER_BYTES 64 /* longest "[address]:port" with its zero byte */

enum transport_wait {
	TRANSPORT_WAIT, /* block until all is written or the write deadline has passed */
	TRANSPORT_NOW,  /* write what goes without waiting for the peer */
};

struct sockaddr;
struct tls;
struct transport;

struct transport_ops {
	/* Read the next packet, or learn of a frame that came in its place: p->kind. Blocks; the connection's deadline bounds it by
	 * shutdown(). A transport that parks does not block, and keeps what it has read of a packet. p->body points into the
	 * transport's buffer, valid until the next read; that of a PACKET_PING is owned.
	 *   0; -EAGAIN: park it; -ERR_EOF; -ERR_CUT; -ETIME (what the handshake writes was not taken in time); -errno
	 *   -ERR_PACKET_LENGTH, -ERR_PACKET_BODY, -ERR_TOKEN, -ERR_PACKET_HEADER (p's fields are set as far as they were read)
	 *   -ERR_UPGRADE, -ERR_ORIGIN: a handshake that has come to nothing, and is answered */
	int (*read)(struct transport *t, struct packet *p);
	/* Nothing is there to be read: read has said -EAGAIN. p is resumed when there is something, or the end, and from the moment
	 * of this call another thread may read. Only of transports that park. 0; -errno: it cannot wait, and is the caller's. */
	int (*park)(struct transport *t, struct park *park, struct parked *p);
	/* Would read return at once? Lets the reader gather answers before they are written. */
	bool (*has_packet)(const struct transport *t);
	/* Does the peer speak text, that is the v1 JSON dialect? Known once the first packet was read. NULL: never. */
	bool (*is_text)(const struct transport *t);
	/* How many bytes have come off the stream for the packets read since this was last asked. NULL: a packet's. */
	uint32_t (*taken)(struct transport *t);
	/* Write a haul in the client's dialect and set its *_done and begun_bytes, also on errors.
	 *   0           all written
	 *   -EAGAIN     only with TRANSPORT_NOW: the rest does not go now
	 *   -ETIMEDOUT  only with TRANSPORT_WAIT: the peer did not take it in time
	 *   -errno      the connection is broken */
	int (*write)(struct transport *t, struct haul *h, enum dialect dialect, enum transport_wait wait);
	/* When a silent peer is to be pinged, or to have answered; INT64_MAX: never. NULL, and ping too: this knows no pings. */
	int64_t (*ping_due_ns)(const struct transport *t);
	/* That is now: ping it, without waiting for the peer.
	 *   0; -EAGAIN: not now: the socket is full, something has come, or still may; -ETIMEDOUT: it has not answered; -errno */
	int (*ping)(struct transport *t);
	/* Nothing more will be written: the peer sees the end after all that was written. code, why: of the close frame, where
	 * there is one, the same each time; wait as for write. The caller holds the baton. 0; -EAGAIN: only with TRANSPORT_NOW,
	 * the frame does not go now, come again. */
	int (*finish_writing)(struct transport *t, int code, const char *why, enum transport_wait wait);
	/* Make blocked reads and writes return now, and all later ones fail. */
	void (*shutdown)(struct transport *t);
	/* Close the descriptor and free. *t becomes NULL. */
	void (*free)(struct transport **t);
	/* The address of the peer, for peer_text; the transport's. */
	const struct sockaddr *(*peer)(const struct transport *t);
	/* The TLS that it speaks; NULL: none. NULL as well: it never does. */
	struct tls *(*tls)(const struct transport *t);
	const char *name; /* "tcp", "websocket", ... */
	/* finish_writing says goodbye in words of its own: also to a client that said so first, and to one that was refused. */
	bool says_goodbye;
};

/* A proxy has told for which client the connection is. From now on that is the transport's peer, but for -ENOMEM. Negative: the read
 * ends so. */
typedef int transport_named(void *arg, const struct sockaddr *client);

/* The first member of each transport. */
struct transport {
	const struct transport_ops *ops;
	/* Set before the first read, by which it is called; for a transport whose peer is a trusted proxy. */
	transport_named *named;
	void *named_arg;
	struct upgrade
		upgrade; /* of the request that opened it, for the back end. Set by the first read; the reader drops it */
};

/* The calls of its ops, by the name of each. */

static inline int transport_read(struct transport *t, struct packet *p)
{
	return t->ops->read(t, p);
}

static inline int transport_park(struct transport *t, struct park *park, struct parked *p)
{
	return t->ops->park(t, park, p);
}

static inline bool transport_has_packet(const struct transport *t)
{
	return t->ops->has_packet(t);
}

static inline bool transport_is_text(const struct transport *t)
{
	return t->ops->is_text != NULL && t->ops->is_text(t);
}

/* How many bytes have come for the packet that was read last. */
static inline uint32_t transport_taken(struct transport *t, const struct packet *p)
{
	return t->ops->taken != NULL ? t->ops->taken(t) : PACKET_HEAD_BYTES + p->body_bytes;
}

static inline int transport_write(struct transport *t, struct haul *h, enum dialect dialect, enum transport_wait wait)
{
	return t->ops->write(t, h, dialect, wait);
}

static inline int64_t transport_ping_due_ns(const struct transport *t)
{
	return t->ops->ping_due_ns != NULL ? t->ops->ping_due_ns(t) : INT64_MAX;
}

static inline int transport_ping(struct transport *t)
{
	return t->ops->ping(t);
}

static inline int transport_finish_writing(struct transport *t, int code, const char *why, enum transport_wait wait)
{
	return t->ops->finish_writing(t, code, why, wait);
}

static inline bool transport_says_goodbye(const struct transport *t)
{
	return t->ops->says_goodbye;
}

static inline void transport_shutdown(struct transport *t)
{
	t->ops->shutdown(t);
}

static inline void transport_free(struct transport **t)
{
	(*t)->ops->free(t);
}

static inline const struct sockaddr *transport_peer(const struct transport *t)
{
	return t->ops->peer(t);
}

static inline struct tls *transport_tls(const struct transport *t)
{
	return t->ops->tls != NULL ? t->ops->tls(t) : NULL;
}

/* Write one packet. For the handshake and the goodbye, where no mailbox is in between; the caller holds the baton. Errors as
 * of write. */
static inline int transport_write_packet(struct transport *t, struct packet *p, enum dialect dialect,
					 enum transport_wait wait)
{
	struct haul h = {.answers = {p}, .n_answers = 1};

	return transport_write(t, &h, dialect, wait);
}

#endif
