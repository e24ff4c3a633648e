/* http_incoming: a request as it comes in, put together at the front of a buffer: its head, and its body behind it. Pure but for
 * memory; any number of bytes at a time. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_INCOMING_H
#define COMMON_HTTP_HTTP_INCOMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/http/http_buffer.h"
#include "common/http/http_chunks.h"
#include "common/http/http_head.h"

/* All zero at first. */
struct http_incoming {
	struct http_buffer bytes; /* the request begins at its front; more may lie behind it */
	struct http_head head;
	bool has_head;
	size_t body_bytes; /* that are kept, right behind the head */
	/* http_incoming.c's */
	uint64_t body_left;
	struct http_chunks chunks;
	size_t max_body;
	bool too_long, forget;
};

static inline char *http_incoming_text(const struct http_incoming *r)
{
	return r->bytes.bytes + r->bytes.start;
}

/* Look for the head in what has come. 0: it is whole, http_incoming_want is next; -EAGAIN; other: an enum http_fault */
int http_incoming_head(struct http_incoming *r);
/* How long the body may be, and whether it is kept at all. True: all of it may come. */
bool http_incoming_want(struct http_incoming *r, size_t max_body, bool keep);
/* Look for the body. 0: the request is whole; -EAGAIN; other: an enum http_fault. One that is too long is read to its end first. */
int http_incoming_body(struct http_incoming *r);
/* Has not one byte of a body come that is to come? */
bool http_incoming_lacks_body(const struct http_incoming *r);
/* Done with this request: the next one begins behind it. */
void http_incoming_next(struct http_incoming *r);

#endif
