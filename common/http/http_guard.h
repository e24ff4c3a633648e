/* http_guard: who may make an HTTP call, and how often. A refused call is answered, counted and logged with its caller.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_GUARD_H
#define COMMON_HTTP_HTTP_GUARD_H

#include <stdbool.h>

#include "common/base/lock.h"
#include "common/base/rate.h"
#include "common/http/http_keys.h"
#include "common/http/http_request.h"
#include "common/tls/tls.h"

struct http_guard {
	/* set once */
	struct http_keys *keys;
	const char *const *free_paths;
	/* any thread; a reload changes it */
	struct rate_live rate;
	/* under lock */
	struct lock lock;
	struct rate_table rates;
};

/* keys outlive it (NULL: everybody may do everything). rate: of calls, for each key that has no own, or for each address where none
 * is shown; it does not bound free_paths (the last one NULL; or NULL). 0 or -ENOMEM: fini it then as well. */
int http_guard_init(struct http_guard *g, struct http_keys *keys, const struct rate *rate,
		    const char *const *free_paths);
void http_guard_fini(struct http_guard *g);

/* Identify the caller: fill in the request's key from the one that it has shown (NULL: none), or else from the certificate that it has
 * shown over TLS (NULL: none is spoken). */
void http_guard_identify(const struct http_guard *g, const char *shown, struct tls *tls, struct http_request *request);

/* Is it one of free_paths? */
bool http_guard_is_free(const struct http_guard *g, const char *path);
/* Is the call one of no more a second than the rate, or its key's? If not, the reply says when to come again. Takes the lock. */
bool http_guard_pass_rate(struct http_guard *g, const struct http_request *request, struct http_reply *reply);

/* May this caller do what needs these scopes (any one of them; HTTP_FREE: everybody may)? If not, the reply says why: 401, or
 * 403 with the missing scope where the key is good for other things. */
bool http_guard_may(const struct http_request *request, unsigned scopes, struct http_reply *reply);

/* May this caller have to do with this room? If not, the reply is 403. */
bool http_guard_may_room(const struct http_request *request, const char *room, struct http_reply *reply);

/* 413: its body is longer than may be. Counted only: this may come before it is known who calls. */
void http_guard_refuse_body(struct http_reply *reply);

#endif
