/* http_service: what all connections of an HTTP server share, and how one of them asks the handler.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_SERVICE_H
#define COMMON_HTTP_HTTP_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/park.h"
#include "common/http/forwarded.h"
#include "common/http/http_call.h"
#include "common/http/http_callers.h"
#include "common/http/http_guard.h"
#include "common/http/http_request.h"

struct http_service {
	/* set once */
	size_t max_body;
	const char *_Atomic trusted_proxies; /* networks whose requests say for whom they are, ... */
	enum forwarded_header proxy_header;  /* ... in this header */
	unsigned idle_seconds;
	const char *const *short_paths; /* of http_options */
	http_handler *handler;
	void *arg;
	struct http_callers *callers;
	struct park *park;
	struct http_guard guard;
	/* any thread */
	atomic_uint long_requests; /* those whose head needs more than a little memory */
};

/* Does its handler wait for moments only? */
bool http_service_is_short(const struct http_service *s, const char *target);

/* Have the handler answer this call, which is refused where calls come too often, or where there is no place for it but those kept
 * for probes. May block, as the handler does. */
void http_service_ask(struct http_service *s, struct http_call *call, bool has_place);

#endif
