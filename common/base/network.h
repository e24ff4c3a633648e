/* network: whose an address is. Pure; any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_NETWORK_H
#define COMMON_BASE_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

/* A network with its zero byte: "ffff:ffff:ffff:ffff::/64", or an IPv4 address. */
#define NETWORK_BYTES 64

/* One caller is an IPv4 address, also where it comes as ::ffff:1.2.3.4, or the /64 of an IPv6 one, since a caller with one
 * address of it mostly has all of them. A text that is no address stays as it is: then, and for IPv4, `address` is returned. */
const char *network_of(const char *address, char network[NETWORK_BYTES]);

/* A hash of network_of(address), other in each process. */
uint64_t network_hash(const char *address);

/* Is the host of a Host header ("name:port") localhost or an address, and no name that a stranger could point to us? */
bool network_is_literal(const char *host);

#endif
