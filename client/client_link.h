/* client_link: what carries the bytes of one client: a TCP connection. A link belongs to one thread
 * at a time, as its client does. SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_LINK_H
#define CLIENT_CLIENT_LINK_H

#include <netdb.h>
#include <stddef.h>
#include <stdint.h>

struct client_link;
struct client_options;

/* Open a link to one address. 0, -ETIMEDOUT, -ECANCELED, -errno. */
typedef int client_link_open(const struct client_options *opt, const struct addrinfo *at, int64_t deadline_ns,
			     struct client_link **out);

/* The connection that is wanted. */
struct client_options {
	const char *host; /* name or address */
	const char *port;
	uint32_t max_body; /* longest body taken from the server; 0 means 16 MiB */
	int cancel_fd;     /* readable: every wait ends with -ECANCELED; -1 for none. It is only polled, never read */
	client_link_open *open; /* NULL: TCP */
};

struct client_link_ops {
	/* One packet, whole. 0, -ETIMEDOUT, -ECANCELED, -errno; after an error only free is left. */
	int (*send)(struct client_link *l, const uint8_t *head, const void *body, size_t body_bytes,
		    int64_t deadline_ns);
	/* At most max bytes, one or more: 0 and *n. -ETIMEDOUT and -ECANCELED leave the link as it is; -ERR_EOF, -errno. A server
	 * that never stops sending cannot keep it from being cancelled. */
	int (*receive)(struct client_link *l, uint8_t *buf, size_t max, int64_t deadline_ns, size_t *n);
	void (*free)(struct client_link *l);
};

struct client_link {
	const struct client_link_ops *ops;
	int fd; /* the socket */
	int cancel_fd;
};

/* Sleep until the socket is ready for `events`: 0, -ETIMEDOUT, -ECANCELED, -errno. */
int client_link_wait(const struct client_link *l, short events, int64_t deadline_ns);

#endif
