/* http_call: one request on libmicrohttpd, from its first line to its reply: http's question to a handler is read here. On
 * its caller's thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_CALL_H
#define COMMON_HTTP_HTTP_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/http/http_request.h"

struct MHD_Connection;

struct http_call {
	/* http's */
	struct http_request request;
	struct http_reply reply;
	bool begun;     /* its headers are there */
	bool answered;  /* http_caller_answer said yes */
	bool too_large; /* its body; http_call_add_body says so, too */
	/* http_call's */
	bool no_memory;
	char *query;
	char *path;
	struct http_param *params;
	uint8_t *body;
	size_t body_capacity;
	char peer[64];
};

/* `uri` is the request line's, as it was sent: we decode it ourselves, to tell a broken encoding from a missing one. NULL: no
 * memory. */
struct http_call *http_call_new(const char *uri);
void http_call_free(struct http_call **call);

/* The API key that it shows, or NULL. */
const char *http_call_shown_key(struct MHD_Connection *connection);
/* Do its headers give the body's length twice? */
bool http_call_has_two_lengths(struct MHD_Connection *connection);

/* One more piece of the body. Bytes beyond max_body, or too many for the memory, are read and forgotten. */
void http_call_add_body(struct http_call *call, const char *bytes, size_t n, size_t max_body);
/* The request is whole: fill in all that a handler wants to know, but the key. 0; -ENOMEM, also where memory ran out before. */
int http_call_read(struct http_call *call, struct MHD_Connection *connection, const char *method);

/* Hand call->reply over to libmicrohttpd, and count it; `close`: it is the connection's last. False: no memory. */
bool http_call_send(struct http_call *call, struct MHD_Connection *connection, bool close);

#endif
