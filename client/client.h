/* client: a client's end of one connection to a comet: connect, authenticate, send, read. Every call blocks up to its
 * own deadline on clock_now_ns()'s scale, and can be cancelled by a descriptor. A client belongs to one thread at a time.
 * SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client_link.h"
#include "client/client_said.h"
#include "common/wire/goodbye.h"
#include "common/wire/packet.h"

#define CLIENT_NODE_BYTES 128

struct client;

/* Why the server is about to close: the body of op 6. */
struct client_goodbye {
	int64_t code; /* an enum goodbye_code, or one that only newer servers know */
	char reason[CLIENT_WORDS_BYTES];
	char node[CLIENT_NODE_BYTES]; /* host:port of another server to go to; empty: none was named */
};

/* The user and the connection that a token names. Fields may be 0 or NULL; without a key the server makes one. */
struct client_identity {
	enum dialect dialect; /* a token of DIALECT_V1 has the mid and nothing else */
	int64_t mid;
	const char *user; /* a user by name, in place of mid */
	const char *key;
	const char *room; /* type://id */
	const char *platform;
	const int32_t *accepts;
	size_t n_accepts;
	bool streams;       /* ask for them */
	int64_t user_since; /* the position in the user's stream; 0: from now on, or ... */
	bool user_unacked;  /* ... what this key has not confirmed */
};

/* The body of op 7 for that identity, malloc'ed, zero-terminated. 0, -EINVAL where a string is not UTF-8, -ENOMEM. */
int client_token(const struct client_identity *identity, char **out);

/* Resolve and connect; each address of a name is tried until one answers, for its share of the time.
 * The resolver keeps its own time.
 *   0           *out is the caller's to client_free
 *   -ENOENT     the name does not resolve
 *   -ETIMEDOUT  nobody answered by the deadline
 *   -ECANCELED  cancel_fd
 *   an error of client_link_open's, of the last address tried; -ENOMEM */
int client_connect(const struct client_options *opt, int64_t deadline_ns, struct client **out);
/* Close and free. *c becomes NULL. */
void client_free(struct client **c);

/* Send the token and wait for the answer. 0; -ERR_REFUSED with the server's words in *goodbye (empty if it closed without
 * any); -EPROTO with words of ours there: it says of streams what no good server says; or an error of client_send or client_read. */
int client_authenticate(struct client *c, enum dialect dialect, const char *token, int64_t deadline_ns,
			struct client_goodbye *goodbye);

struct client_welcome client_welcome(const struct client *c);

/* Write one packet whole: 0, -ETIMEDOUT, -ECANCELED, -EPIPE and the like. After an error only client_free is left. */
int client_send(struct client *c, int16_t ver, int32_t op, int32_t seq, const void *body, uint32_t body_bytes,
		int64_t deadline_ns);

/* The next packet; its body is valid until the next read.
 *   0           *p is set
 *   -ETIMEDOUT  nothing whole by the deadline; the client may be read on
 *   -ECANCELED  cancel_fd; the client may be read on
 *   -ERR_EOF, -ERR_CUT, -ERR_PACKET_*, -errno  the connection is of no use any more */
int client_read(struct client *c, int64_t deadline_ns, struct packet *p);

/* Bytes so far, also of a packet that is not whole yet. */
uint64_t client_received(const struct client *c);
/* For poll() among other descriptors. Bytes that were received already do not make it readable: first call client_read until
 * -ETIMEDOUT. */
int client_fd(const struct client *c);
/* What the server said as it closed, beside packets: code and reason of WebSocket; otherwise "". */
const char *client_said(const struct client *c);

/* Read the body of op 6. Control characters become question marks; whatever the body lacks is 0 or empty. */
void client_read_goodbye(const struct packet *p, struct client_goodbye *out);
/* Would the same client fare no better by coming back? */
bool client_goodbye_is_final(int64_t code);

#endif
