/* ws_link: a WebSocket connection as two worlds share it. On one side a transport, blocking, for the reader and whoever
 * holds the baton; on the other the service thread, which alone may touch the socket and never blocks. Between them an
 * inbox of whole messages, an outbox of what is to be written, and wishes. It knows nothing of libwebsockets.
 *
 *    service thread  -> inbox  -> reader
 *    service thread <-  outbox <- holder of the baton
 *
 * Counted: the connection holds a reference (its transport's free drops it), the service thread one until the socket is
 * closed, and one while the link stands in the service's list of wishes. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_LINK_H
#define COMET_TRANSPORT_WS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "comet/transport/transport.h"
#include "comet/transport/ws_payload.h"

/* Messages read and not yet taken by the reader; then the socket is not read any more. */
#define WS_LINK_INBOX 8
/* Messages and answers that the service thread may owe the socket. */
#define WS_LINK_OUTBOX 32
/* Bytes of them, from which on it takes no more: the rest is in the channel, whose bound is limits.queued_bytes. */
#define WS_LINK_OUTBOX_BYTES 262144

/* Close codes of RFC 6455, section 7.4.1, as far as we use them. */
enum ws_close {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_UNSUPPORTED = 1003,
	WS_CLOSE_NOT_CONSISTENT = 1007,
	WS_CLOSE_POLICY = 1008,
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_INTERNAL = 1011,
};

/* What the threads of a connection ask of the service thread. */
enum ws_wish {
	WS_WISH_WRITE = 1, /* there is something in the outbox */
	WS_WISH_READ = 2,  /* there is room in the inbox again */
	WS_WISH_KILL = 4,  /* shut down: close the socket now */
};

struct ws_link;

struct ws_link_options {
	uint32_t max_body;
	int64_t write_timeout_ns;
	/* Somebody wishes something for the first time since ws_link_wishes(). Any thread; holds no lock. */
	void (*ask)(void *service, struct ws_link *link);
	void *service;
};

/* Two references: the transport's (*transport) and the service thread's (*out). 0 or -ENOMEM. */
int ws_link_new(const struct sockaddr *peer, const struct ws_link_options *opt, struct ws_link **out,
		struct transport **transport);
struct ws_link *ws_link_ref(struct ws_link *link);
void ws_link_unref(struct ws_link **link);

/* ---- the service thread ---- */

/* Whatever the service thread keeps with the link; only it may ask. */
void ws_link_set_tag(struct ws_link *link, void *tag);
void *ws_link_tag(const struct ws_link *link);

/* Where the service keeps its list of those that wish something; under the service's lock. */
struct ws_link **ws_link_next_asking(struct ws_link *link);

/* What is wished, a set of enum ws_wish; they are then taken as heard. */
unsigned ws_link_wishes(struct ws_link *link);

/* A piece of a message has come: n more bytes, `rest` of the frame still to come.
 *   0         go on
 *   1         the message was the last that finds room: read no more before WS_WISH_READ
 *   negative  close, with ws_link_close_code(); the reader gets the same error after what came before */
int ws_link_receive(struct ws_link *link, const void *bytes, size_t n, bool first, bool last, bool is_text,
		    uint64_t rest);

/* Nothing more will come: 0 for a peer that said goodbye, else why (as ops->read returns it; -ETIME: the peer did not take
 * what was written in time). Wakes whoever waits. The first call counts. */
void ws_link_end(struct ws_link *link, int why);

enum ws_next { WS_NEXT_NOTHING, WS_NEXT_FRAME, WS_NEXT_CLOSE };

/* Take the next frame from the outbox: one answer, or all messages up to the next answer. WS_NEXT_CLOSE: all was written,
 * and nothing more will be: close. */
enum ws_next ws_link_next_frame(struct ws_link *link, size_t front, struct ws_frame *frame);

/* The socket has taken all of the frames that were given out: count what was in them. */
void ws_link_frames_written(struct ws_link *link);

/* The socket takes no more now / takes more again: lets writers tell a slow peer from a busy service thread. */
void ws_link_set_choked(struct ws_link *link, bool choked);

/* Was the link asked to close once all is written? Then a kill still says goodbye. */
bool ws_link_is_closing(struct ws_link *link);

/* The code for the close frame. */
int ws_link_close_code(struct ws_link *link);

#endif
