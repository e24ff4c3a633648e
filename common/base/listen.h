/* listen: a socket that listens on an address of the settings; the steps of both our servers before they accept.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_LISTEN_H
#define COMMON_BASE_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LISTEN_ADDRESS_BYTES 128 /* longest address with its zero byte */

struct listen_options {
	int backlog;
	bool reuse_port;  /* SO_REUSEPORT; a path cannot be shared */
	mode_t unix_mode; /* of a path: who may connect */
	/* The setting that the address stands in, or NULL: an IPv6 address takes no IPv4 where an IPv4 address with that port has a
	 * place of its own in it. */
	const char *list;
};

/* The path of "unix:/path", or NULL. */
const char *listen_path(const char *address);

/* Listen on "host:port", "[v6]:port", ":port" (all addresses, of IPv4 and IPv6) or "unix:/path"; port 0 picks a free one. A socket
 * at that path on which nobody listens any more is replaced.
 * 0 and *fd; -EINVAL (no port, or no address at all), -ERR_NAME (nobody knows such a host), -EEXIST (the path is no socket), -errno:
 * -EADDRNOTAVAIL where the address is not this machine's */
int listen_open(const char *address, const struct listen_options *opt, int *fd);

/* Nobody new comes, accept4 on it returns, now and from now on; a path is taken away. The descriptor stays open. */
void listen_stop(int fd);

/* Print "listening <label> <address>" on stdout, with the port that it got, which is also *port; 0 for a path. 0 or -errno. */
int listen_announce(int fd, const char *label, uint16_t *port);

/* Is this error of accept4 (-errno) one of the connection and not of ours? accept(2) says to treat it like a retry. */
bool listen_error_is_passing(int rc);

#endif
