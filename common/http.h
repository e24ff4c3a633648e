/* http: the HTTP server, on libmicrohttpd: a thread for each caller, where handlers may block. Bounded: callers, body size,
 * header size, time for a request. It knows nothing of what is served. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_H
#define COMMON_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_param {
	char *name;
	char *value; /* both percent-decoded and zero-terminated; a %00 is a broken parameter (bad_params) */
};

struct http_request {
	const char *method;              /* "GET", "POST", ... */
	const char *path;                /* decoded, without the query */
	const struct http_param *params; /* of the query */
	size_t n_params;
	bool bad_params;     /* path or query did not decode */
	const uint8_t *body; /* followed by a zero byte */
	size_t body_bytes;
	const char *api_key; /* of X-Api-Key or Authorization: Bearer, or NULL */
	const char *peer;    /* address of the caller */
};

struct http_reply {
	int status;
	const char *content_type; /* static */
	char *body;               /* malloc'ed by the handler; http frees it */
	size_t body_bytes;
	const char *extra_header; /* static name of one more header, or NULL */
	const char *extra_value;  /* static */
};

/* Runs on the caller's thread; may block, up to its own deadline. reply arrives as 500 with no body. */
typedef void http_handler(void *arg, const struct http_request *request, struct http_reply *reply);

struct http_options {
	const char *bind;     /* host:port, several with commas; port 0 picks a free one */
	size_t max_body;      /* bytes */
	unsigned callers_max; /* connections at one time, each with a thread; more wait */
	int64_t timeout_ms;   /* for a caller to send its whole request */
	const char *label;    /* for "listening <label> <address>" on stdout, one line for each address */
};

struct http;

/* Bind, start the threads, print the listening lines. 0, or -errno with a log line that says what failed. */
int http_start(const struct http_options *opt, http_handler *handler, void *arg, struct http **out);
/* Stop accepting, let the handlers that run finish, send their replies, join. *h becomes NULL. */
void http_stop(struct http **h);

/* Has the caller shown this API key? In a time that tells nothing of where the first difference is. */
bool http_has_key(const struct http_request *request, const char *wanted);

/* The first value of a parameter, or NULL. */
const char *http_param(const struct http_request *request, const char *name);

#endif
