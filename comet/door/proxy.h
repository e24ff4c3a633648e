/* proxy: the header that a balancer sends before the client's bytes, so that we know the client's address: PROXY protocol
 * version 1 (text) and 2 (binary). A pure function; porter.c does the reading. SPDX-License-Identifier: MIT */
#ifndef COMET_DOOR_PROXY_H
#define COMET_DOOR_PROXY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* The longest header that is taken: version 1 has at most 107 bytes, version 2 with all that balancers add far less. */
#define PROXY_HEADER_BYTES 4096

/* Read the header at the start of these bytes, all that have come so far.
 *   0         *header_bytes is its length, *client the client's address; family AF_UNSPEC where the balancer names none (it
 *             speaks for itself, such as a health check): then the socket's own address holds
 *   -EAGAIN   so far it may be the beginning of a header
 *   -EBADMSG  it is none */
int proxy_parse(const uint8_t *bytes, size_t n, struct sockaddr_storage *client, size_t *header_bytes);

#endif
