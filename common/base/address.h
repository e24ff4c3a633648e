/* address: a host and a port, taken apart. Pure; any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_ADDRESS_H
#define COMMON_BASE_ADDRESS_H

#include <stdbool.h>

struct address {
	char host[256]; /* without brackets; may be empty */
	char port[32];  /* as it was written; empty: none was */
	int number;     /* the port's, 0 to 65535; -1: it has none */
};

/* Take "host:port", "[v6]:port", ":port", or a host alone apart; more than one colon outside of brackets is the address of a
 * host of version 6. Names are not looked up, and a port may be a name.
 *   0; -EINVAL: a bracket that is not closed, or not followed by a port; too long. *a is empty then, its port -1 */
int address_parse(const char *text, struct address *a);

/* 127.0.0.0/8, ::1 or localhost. Other names are not: their addresses can change behind our back. */
bool address_is_loopback(const struct address *a);
/* Does the host stand for every address of a machine (0.0.0.0, ::, * or nothing)? */
bool address_is_wildcard(const struct address *a);
/* Is the host written as an address, of version 4 or 6? */
bool address_is_literal(const struct address *a);

#endif
