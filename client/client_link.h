/* client_link: what carries the bytes of one client: a TCP connection, and TLS or WebSocket on it. A link belongs to one thread
 * at a time, as its client does. SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_LINK_H
#define CLIENT_CLIENT_LINK_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_WORDS_BYTES 160

struct client_link;
struct client_options;

/* Open a link to one address. 0, -ETIMEDOUT, -ECANCELED; -errno; and those that the link's own header names. */
typedef int client_link_open(const struct client_options *opt, const struct addrinfo *at, int64_t deadline_ns,
			     struct client_link **out);

/* The connection that is wanted. */
struct client_options {
	const char *host; /* name or address */
	const char *port;
	uint32_t max_body; /* longest body taken from the server; 0 means 16 MiB */
	int cancel_fd;     /* readable: every wait ends with -ECANCELED; -1 for none. It is only polled, never read */
	client_link_open *open; /* NULL: TCP */
	char *why;              /* NULL, or CLIENT_WORDS_BYTES for words where an error alone says too little */
	/* of WebSocket */
	const char *path;
	/* of TLS */
	bool tls;
	const char *ca_file;   /* certificates to trust, PEM; NULL: those of the system */
	bool insecure;         /* any certificate will do */
	const char *cert_file; /* our own, PEM, with those between it and its authority; NULL: we show none */
	const char *key_file;  /* its key, PEM, without a password; NULL: it is in cert_file */
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
	char said[CLIENT_WORDS_BYTES]; /* by the server as it closed, beside packets; empty: nothing */
};

/* Sleep until the socket is ready for `events`: 0, -ETIMEDOUT, -ECANCELED, -errno. */
int client_link_wait(const struct client_link *l, short events, int64_t deadline_ns);

/* Is cancel_fd readable? */
bool client_link_cancelled(const struct client_link *l);

/* Print into opt->why, if it is there. */
void client_link_say(const struct client_options *opt, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
