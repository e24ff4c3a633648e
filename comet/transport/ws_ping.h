/* ws_ping: is the client of a WebSocket still there? From whom nothing came for a while is pinged, and from whom then still nothing
 * comes has gone. Any bytes are a sign of life. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_PING_H
#define COMET_TRANSPORT_WS_PING_H

#include <stdatomic.h>
#include <stdint.h>

#include "comet/transport/stream.h"

struct ws_ping_times {
	int64_t every_ns; /* websocket.ping; 0: none */
	int64_t pong_ns;  /* websocket.pong_timeout */
};

struct ws_ping {
	/* set once; outlives this */
	const struct ws_ping_times *times;
	_Atomic int64_t heard_ns;  /* when bytes came last; 0: not open yet. The reader's */
	_Atomic int64_t pinged_ns; /* The thread's that pings */
};

/* Bytes have come. The reader. */
void ws_ping_heard(struct ws_ping *p);

/* When it is to be pinged, or is to have answered; INT64_MAX: never. Any thread. */
int64_t ws_ping_due_ns(const struct ws_ping *p);

/* That is now: send the ping, or find that nothing has come since the last. Never waits; the holder of the baton, where no frame is
 * half written.
 *   0; -EAGAIN: not now: the socket is full, something has come, or still may; -ETIMEDOUT: it has not answered
 *   -EPIPE: nothing may be written any more */
int ws_ping_send(struct ws_ping *p, struct stream *s);

#endif
