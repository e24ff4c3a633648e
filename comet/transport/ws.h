/* ws: WebSocket over a stream. The reader's first read takes the request and answers it; from then on packets come and go in
 * frames: as they are in binary messages, or as the JSON of version 1 in text. No memory of its own but what it is itself.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_H
#define COMET_TRANSPORT_WS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "comet/transport/buffers.h"
#include "comet/transport/transport.h"
#include "comet/transport/ws_ping.h"
#include "common/config/origins.h"
#include "common/http/forwarded.h"
#include "common/tls/tls.h"

/* The proxies that are trusted, and the header by which they tell whose request they bring. */
struct ws_proxies {
	const char *_Atomic networks; /* a list; empty: there are none */
	enum forwarded_header header;
};

struct ws_options {
	uint32_t max_body;             /* of a packet from the client */
	uint32_t max_token;            /* of an AUTH, if that is more */
	const struct origins *origins; /* these and the next two outlive the transport */
	const struct ws_ping_times *ping;
	const struct ws_proxies *proxies; /* NULL: the peer is no trusted proxy */
	const char *upgrade_headers; /* which of the request a back end hears of, beside its query; NULL: nothing */
	bool deflate;                /* take permessage-deflate where it is offered */
	struct tls_server *tls;      /* NULL: bytes as they are */
	bool parks;                  /* reads don't wait, see transport.h */
	int64_t write_timeout_ns;    /* also set as the socket's SO_SNDTIMEO by the thread that accepted it */
};

/* Of a buffer that ws can do with. */
size_t ws_buffer_bytes(uint32_t max_body);

/* Take over fd, a connected IPv4 or IPv6 socket. `buffers` lends a read buffer of ws_buffer_bytes() while a request or a message
 * needs one. 0, or -ENOMEM (fd is then still the caller's). */
int ws_new(int fd, const struct sockaddr *peer, struct buffers *buffers, const struct ws_options *opt,
	   struct transport **out);

#endif
