/* http_request: a caller's request to the HTTP server, and its reply. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_REQUEST_H
#define COMMON_HTTP_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/http/http_key.h"

struct http_caller;
struct http_guard;

struct http_param {
	const char *name;
	const char *value; /* both percent-decoded and zero-terminated; a %00 is a broken parameter (bad_params) */
};

struct http_request {
	const char *method;              /* "GET", "POST", ... */
	const char *path;                /* decoded, without the query */
	const struct http_param *params; /* of the query */
	size_t n_params;
	bool bad_params;     /* path or query did not decode */
	const uint8_t *body; /* followed by a zero byte; none is kept of a caller without a key where one is needed */
	size_t body_bytes;
	const char *peer;                 /* address of the caller */
	const struct http_caller *caller; /* its connection; or NULL */
	struct http_guard *guard;         /* of a call that holds others: it bounds their rate; or NULL */
	const char *content_type;         /* of the body; or NULL */
	const char *idempotency_key;      /* the caller's name for what it asks for; or NULL */
	bool has_shown_key;               /* in X-Api-Key or Authorization: Bearer, */
	struct http_key key;              /* and this is what it may do with it */
	bool wants_html;                  /* a browser: its Accept header names text/html */
	bool is_elsewheres; /* a browser sends it for a page of another site: its Origin is not our Host, or it says so */
	bool wants_told;    /* Comet-Tell: 1; what became of its push, for the handler */
	bool is_renamed;    /* its Host is neither localhost nor an address, but a name that may be anybody's */
};

/* A header whose value is a number. */
struct http_number {
	const char *name; /* static; NULL: none */
	size_t value;
};

#define HTTP_NUMBERS     3
#define HTTP_EXTRA_BYTES 24

struct http_reply {
	int status;
	const char *content_type; /* static */
	char *body;               /* malloc'ed by the handler; http frees it */
	size_t body_bytes;
	const char *extra_header;                 /* static name of one more header, or NULL */
	const char *extra_value;                  /* static, or ... */
	char extra_text[HTTP_EXTRA_BYTES];        /* ... kept here */
	struct http_number numbers[HTTP_NUMBERS]; /* the first without a name ends them */
	bool for_any_site;                        /* scripts of every page may read it */
};

/* Runs on a thread of the caller's; may block, up to its own deadline. reply arrives as 500 with no body. */
typedef void http_handler(void *arg, const struct http_request *request, struct http_reply *reply);

/* Has the caller hung up? For a handler that waits, now and then. It makes a system call. */
bool http_is_abandoned(const struct http_request *request);

/* The first value of a parameter, or NULL. */
const char *http_param(const struct http_request *request, const char *name);

/* Make it {"code":-status,"message":"words"}: where no handler is asked. Without memory it has no body. */
void http_reply_refuse(struct http_reply *reply, int status, const char *words);
/* Make it these words, as text; copied. Without memory it has no body. */
void http_reply_text(struct http_reply *reply, int status, const char *words);
/* Make it 405, where only `method` (static) is allowed. */
void http_reply_wrong_method(struct http_reply *reply, const char *method);

#endif
