/* http: the HTTP server. A caller with a request has a thread, where handlers may block (between park_wait_begin and park_wait_end);
 * all others are parked. Bounded: callers, also of one network, sizes, times, calls a second. It finds out who calls (http_guard),
 * and knows nothing of what is served.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_H
#define COMMON_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/rate.h"
#include "common/http/forwarded.h"
#include "common/http/http_keys.h"
#include "common/http/http_request.h"

struct http_options {
	const char *bind;                   /* host:port, several with commas; port 0 picks a free one */
	const char *tls_bind;               /* the same, over TLS; or NULL */
	struct tls_server *tls;             /* for it; outlives the server */
	size_t max_body;                    /* bytes */
	unsigned callers_max;               /* connections at one time */
	int64_t timeout_ms;                 /* for a caller to send its whole request */
	int64_t idle_ms;                    /* between two requests */
	bool reuse_port;                    /* another process may listen beside this one */
	unsigned unix_mode;                 /* of a path: who may connect */
	const char *trusted_proxies;        /* networks whose requests say for whom they are; or NULL */
	enum forwarded_header proxy_header; /* and in which header */
	const char *label;      /* for "listening <label> <address>" on stdout, one line for each address; */
	const char *tls_label;  /* where it is one of tls_bind */
	struct http_keys *keys; /* outlives the server; NULL: everybody may do everything */
	struct rate rate;       /* of calls, for each key, or for each address where none is shown */
	const char *const *
		short_paths; /* beginnings of those whose handlers wait for moments only: they are served in the place of others'
					 * waits; the last one NULL; or NULL */
	const char *const *free_paths; /* those that the rate does not bound, the last one NULL; or NULL */
};

struct http;
struct tls_server;

/* As the settings [http] say; labels and free_paths are those of our programs. */
struct config;
struct http_options http_options_of(const struct config *cfg, struct http_keys *keys, struct tls_server *tls);
/* Read the API keys and the authorities of http.client_ca as a start would, and forget them: for config_program. 0, or negative with words on stderr. */
int http_try_keys(const struct config *cfg);

/* Bind, start the threads, print the listening lines. 0, or -errno with a log line that says what failed. */
int http_start(const struct http_options *opt, http_handler *handler, void *arg, struct http **out);
/* A reload: go by these settings from now on. Any thread. */
void http_change(struct http *h, const struct config *cfg);
/* Stop accepting, let the handlers that run finish, send their replies, join. *h becomes NULL. */
void http_stop(struct http **h);

#endif
