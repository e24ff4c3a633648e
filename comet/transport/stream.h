/* stream: the bytes of a connection, both ways: a socket, or TLS over it. Buffered reads that need no memory of their
 * own while the connection idles, one sendmsg a write, a deadline for each write. It knows no packets.
 *
 * Threads: as those of the transport that it lives in. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_STREAM_H
#define COMET_TRANSPORT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "comet/transport/buffers.h"
#include "comet/transport/transport.h"
#include "common/base/park.h"
#include "common/base/peer.h"
#include "common/tls/tls.h"

struct stream {
	/* set once */
	int fd;
	int64_t write_timeout_ns;
	struct buffers *buffers;
	struct tls *tls; /* or NULL */
	struct peer peer;
	/* reader only */
	uint8_t *buf; /* small, or borrowed */
	uint32_t size;
	uint32_t start; /* read and not yet handed out: [start, end) */
	uint32_t end;
	bool burst;   /* the last read filled the buffer: more is likely to come at once */
	bool parks;   /* set once: reads don't wait, see stream_park */
	bool greets;  /* nothing has been heard of the peer, and first words are long: they are read at once */
	bool drained; /* there is no more to be read now, or another's turn has come: only the park says when to go on */
	bool took_all;   /* the last read took all that was there, or found nothing, the second time in a row */
	bool found_none; /* the last read, the first time */
	uint8_t small[64];
};

/* Of fd, a connected IPv4 or IPv6 socket whose SO_SNDTIMEO is the write timeout. `buffers` lends a read buffer while more is
 * read than `small` holds; tls: NULL for bytes as they are. 0, or -ENOMEM (fd is then still the caller's). */
int stream_init(struct stream *s, int fd, const struct sockaddr *peer, struct buffers *buffers, struct tls_server *tls,
		int64_t write_timeout_ns, bool parks);
/* Closes fd. */
void stream_fini(struct stream *s);

/* Forget what has come, before fd is closed: bytes left unread would make that a reset, which may overtake what was just said
 * to a client for whom there is no place. */
void stream_forget_unread(int fd);

/* ---- the reader ---- */

/* The bytes that were read and not yet taken off; they stay where they are until stream_more. */
static inline uint8_t *stream_bytes(const struct stream *s)
{
	return s->buf + s->start;
}

static inline uint32_t stream_count(const struct stream *s)
{
	return s->end - s->start;
}

/* Its first words are over. */
static inline void stream_greeted(struct stream *s)
{
	s->greets = false;
}

/* Take n bytes off the front; they stay where they are until stream_more, too. */
static inline void stream_take_off(struct stream *s, uint32_t n)
{
	s->start += n;
}

/* Wait for more bytes, with space for `need` of them from the front on, at most what a buffer holds. Where nothing is left to
 * be taken off, the wait needs no buffer. 0 with at least one byte more, or with none where a burst is over: come again.
 *   0; -EAGAIN: it parks, and there are no more now, or it has had its turn; -ERR_EOF: the end; -ENOMEM; -ERR_TLS; -errno */
int stream_more(struct stream *s, uint32_t need);

/* After -EAGAIN: resume p when there is more, or the end. It keeps a borrowed buffer only for bytes that need one. Before this returns
 * another thread may be the reader. 0; -errno of park_on_stream, which says who has to be forgotten */
int stream_park(struct stream *s, struct park *park, struct parked *p);

/* ---- the holder of the baton ---- */

/* Write the pieces iov[0..ends[n_ends - 1]), but for the first *written bytes; *written grows by what need not be given again.
 * They come in parts, each of which ends before the piece iov[ends[i]]. A caller that was told less than all comes again with the
 * same bytes, up to the end of the part that they stopped in; behind it there may be others by then. Uses iov up.
 *   0; -EAGAIN (TRANSPORT_NOW); -ETIMEDOUT (TRANSPORT_WAIT); -ERR_TLS; -errno */
int stream_write(struct stream *s, struct iovec *iov, const unsigned *ends, unsigned n_ends, enum transport_wait wait,
		 size_t *written);

/* The peer sees the end after all that was written. */
void stream_finish(struct stream *s);

/* ---- any thread ---- */

/* Which of these events of poll the socket is ready for. */
short stream_poll(const struct stream *s, short events);

/* Make blocked reads and writes return now, and all later ones fail. */
void stream_shutdown(struct stream *s);

#endif
