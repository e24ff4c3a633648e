/* client: one TCP connection to a comet, seen from the other end: connect, authenticate, send, read. Every call blocks,
 * up to its own deadline on clock_now_ns()'s scale, and can be cancelled by a descriptor. A client belongs to one
 * thread at a time. SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/goodbye.h"
#include "common/wire/packet.h"

#define CLIENT_WORDS_BYTES 160
#define CLIENT_NODE_BYTES  128

struct client;

struct client_options {
	const char *host; /* name or address */
	const char *port;
	uint32_t max_body; /* longest body taken from the server; 0 means 16 MiB */
	int cancel_fd;     /* readable: every wait ends with -ECANCELED; -1 for none. It is only polled, never read */
};

/* Why the server is about to close: the body of op 6. */
struct client_goodbye {
	int64_t code; /* an enum goodbye_code, or one that only newer servers know */
	char reason[CLIENT_WORDS_BYTES];
	char node[CLIENT_NODE_BYTES]; /* where else to go, host:port; empty: it did not say */
};

/* Who we say we are. Fields that are 0 or NULL are said as such; the server then makes a key. */
struct client_identity {
	enum dialect dialect; /* DIALECT_V1 says mid and nothing else */
	int64_t mid;
	const char *key;
	const char *room; /* type://id */
	const char *platform;
	const int32_t *accepts;
	size_t n_accepts;
};

/* The body of op 7 for that identity, malloc'ed, zero-terminated. 0, -EINVAL where a string is not UTF-8, -ENOMEM. */
int client_token(const struct client_identity *identity, char **out);

/* Resolve and connect; each address of a name is tried until one answers, for its share of the time.
 * The resolver keeps its own time.
 *   0           *out is the caller's to client_free
 *   -ENOENT     the name does not resolve
 *   -ETIMEDOUT  nobody answered by the deadline
 *   -ECANCELED  cancel_fd
 *   -errno      of the last address tried, or -ENOMEM */
int client_connect(const struct client_options *opt, int64_t deadline_ns, struct client **out);
/* Close and free. *c becomes NULL. */
void client_free(struct client **c);

/* Say the token and wait for the answer. 0; -ERR_REFUSED with the server's words in *goodbye (empty where it closed
 * without any); or an error of client_send or client_read. */
int client_authenticate(struct client *c, enum dialect dialect, const char *token, int64_t deadline_ns,
			struct client_goodbye *goodbye);

/* Write one packet whole: 0, -ETIMEDOUT, -ECANCELED, -EPIPE and the like. After an error only client_free is left. */
int client_send(struct client *c, int16_t ver, int32_t op, int32_t seq, const void *body, uint32_t body_bytes,
		int64_t deadline_ns);

/* The next packet; its body is valid until the next read.
 *   0           *p is set
 *   -ETIMEDOUT  nothing whole by the deadline; the client may be read on
 *   -ECANCELED  cancel_fd; the client may be read on
 *   -ERR_EOF, -ERR_CUT, -ERR_PACKET_*, -errno  the connection is of no use any more */
int client_read(struct client *c, int64_t deadline_ns, struct packet *p);

/* To be polled among others. What was read already is not seen there: client_read until -ETIMEDOUT first. */
int client_fd(const struct client *c);

/* What an op 6 says, its words made safe for a terminal. What the body does not say stays empty. */
void client_read_goodbye(const struct packet *p, struct client_goodbye *out);
/* Would the same client fare no better by coming back? */
bool client_goodbye_is_final(int64_t code);

#endif
