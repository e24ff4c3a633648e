/* peer: the address of a client. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_PEER_H
#define COMMON_BASE_PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/base/cidr.h"
#include "common/base/network.h"

/* Of IPv4 or IPv6, or that it came by a path, and no larger: a sockaddr_storage for each connection would be four times as much. */
struct peer {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

void peer_set(struct peer *peer, const struct sockaddr *address);

/* The address as a network of one; false: it has none. */
bool peer_cidr(const struct sockaddr *address, struct cidr *out);

/* One caller, as a name for tables: an IPv4 address, or the /64 of an IPv6 one (common/base/network.h), or "unix". */
void peer_network(const struct sockaddr *address, char network[NETWORK_BYTES]);

/* "unix" for who came by a path; "1.2.3.4:56" or "[::1]:56", without the port where it is 0; an IPv4 address mapped into IPv6 is written as IPv4. */
void peer_text(const struct sockaddr *address, bool with_port, char *text, size_t text_bytes);

#endif
