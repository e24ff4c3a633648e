/* http_call: one request, from its head to its answer: http's question to a handler is read here, and its answer written.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_CALL_H
#define COMMON_HTTP_HTTP_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/http/http_buffer.h"
#include "common/http/http_head.h"
#include "common/http/http_request.h"

struct http_call {
	struct http_request request;
	struct http_reply reply;
	struct http_param *params;
};

/* The API key that the head shows, or NULL. */
const char *http_call_shown_key(const struct http_head *head, const char *text);

/* Fill in what the head says of the request; key, peer and body are the caller's to fill in. Decodes in the text, which it needs
 * until http_call_fini. 0, or -ENOMEM: fini it then as well. */
int http_call_init(struct http_call *call, const struct http_head *head, char *text);
void http_call_fini(struct http_call *call);

/* How the connection goes on after the answer: 0, it ends; or this many seconds for the next request. */
struct http_answer {
	unsigned idle_seconds;
	bool head_only; /* it has no body, and the length that it would have */
};

/* Write the reply behind what waits in `out`, and count it. 0; -ENOMEM: not a byte was written. */
int http_call_answer(const struct http_reply *reply, const struct http_answer *answer, struct http_buffer *out);

#endif
