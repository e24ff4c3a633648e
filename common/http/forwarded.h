/* forwarded: whose request a proxy brings, by X-Forwarded-For or Forwarded (RFC 7239). Each proxy writes the address that it
 * saw behind those that were there, so only what a trusted one has written is true: the client is the last address that is
 * none of theirs. Pure; any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_FORWARDED_H
#define COMMON_HTTP_FORWARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* One of the two, since a proxy that writes the one passes the other on as a stranger has sent it. The order is that of the
 * setting's names. */
enum forwarded_header { FORWARDED_X_FOR, FORWARDED_STANDARD };

/* The header's name. */
const char *forwarded_name(enum forwarded_header header);

struct forwarded {
	enum forwarded_header header;
	const char *trusted; /* a list of networks */
	/* for forwarded_take; AF_UNSPEC: none */
	struct sockaddr_storage client; /* the last that is not trusted */
	struct sockaddr_storage first;  /* where all are trusted, it is the first of them */
};

struct forwarded forwarded_start(enum forwarded_header header, const char *trusted);

/* The value of one such header; those of all lines in their order, as if they were one. */
void forwarded_take(struct forwarded *f, const char *value, size_t value_bytes);

/* The client's address, its port 0 where none is known; NULL: no address that makes sense was there, or the one who is nearest
 * to the trusted proxies has none, such as "unknown". It lies in f. */
const struct sockaddr *forwarded_client(const struct forwarded *f);

#endif
