/* listen: a socket that listens on an address of the settings; the steps of both our servers before they accept.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_LISTEN_H
#define COMMON_BASE_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#define LISTEN_ADDRESS_BYTES 128 /* longest address with its zero byte */

/* Listen on "host:port", "[v6]:port" or ":port" (all addresses), with SO_REUSEPORT if reuse_port; port 0 picks a free one.
 * 0 and *fd; -EINVAL (no port, or no address at all), -EADDRNOTAVAIL (nobody knows such a host), -errno */
int listen_open(const char *address, int backlog, bool reuse_port, int *fd);

/* Print "listening <label> <address>" on stdout, with the port that it got, which is also *port. 0 or -errno. */
int listen_announce(int fd, const char *label, uint16_t *port);

/* Is this error of accept4 (-errno) one of the connection and not of ours? accept(2) says to treat it like a retry. */
bool listen_error_is_passing(int rc);

#endif
