/* tcp: packets as they are, over a stream. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_TCP_H
#define COMET_TRANSPORT_TCP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "comet/transport/buffers.h"
#include "comet/transport/transport.h"
#include "common/tls/tls.h"

struct tcp_options {
	uint32_t max_body;        /* of a packet from the client */
	uint32_t max_token;       /* of an AUTH, if that is more */
	struct tls_server *tls;   /* NULL: bytes as they are */
	bool parks;               /* reads don't wait, see transport.h */
	int64_t write_timeout_ns; /* also the socket's SO_SNDTIMEO, which it has from the one that listens */
};

/* Take over fd, a connected IPv4 or IPv6 socket. `buffers` lends a read buffer of at least 16 + max_body bytes while a packet
 * needs one. 0, or -ENOMEM (fd is then still the caller's). */
int tcp_new(int fd, const struct sockaddr *peer, struct buffers *buffers, const struct tcp_options *opt,
	    struct transport **out);

#endif
