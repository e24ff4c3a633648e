/* http_incoming: see http_incoming.h. SPDX-License-Identifier: MIT */
#include "common/http/http_incoming.h"

#include <errno.h>
#include <string.h>

int http_incoming_head(struct http_incoming *r)
{
	int rc = -EAGAIN;

	if (http_buffer_count(&r->bytes) > 0)
		rc = http_head_read(&r->head, http_incoming_text(r), http_buffer_count(&r->bytes));
	r->has_head = rc == HTTP_FAULT_NONE;
	return rc;
}

bool http_incoming_want(struct http_incoming *r, size_t max_body, bool keep)
{
	r->max_body = max_body;
	r->body_bytes = 0;
	r->body_left = r->head.length;
	r->chunks = (struct http_chunks){0};
	r->too_long = r->head.length > max_body;
	r->forget = r->too_long || !keep;
	return !r->too_long;
}

bool http_incoming_lacks_body(const struct http_incoming *r)
{
	return http_buffer_count(&r->bytes) == r->head.bytes &&
	       (r->body_left > 0 || (r->head.seen & HTTP_SEEN_ENCODING));
}

/* Of the bytes behind the body so far `taken` are read, and the first `made` of them belong to it: close the gap. */
static void put_together(struct http_incoming *r, size_t made, size_t taken)
{
	char *end = r->bytes.bytes + r->bytes.end, *to = http_incoming_text(r) + r->head.bytes, *rest;

	rest = to + r->body_bytes + taken;
	r->too_long |= r->body_bytes + made > r->max_body;
	r->forget |= r->too_long;
	r->body_bytes = r->forget ? 0 : r->body_bytes + made;
	to += r->body_bytes;
	if (to == rest)
		return;
	memmove(to, rest, (size_t)(end - rest));
	r->bytes.end -= (size_t)(rest - to);
}

int http_incoming_body(struct http_incoming *r)
{
	size_t there = http_buffer_count(&r->bytes) - r->head.bytes - r->body_bytes, taken, made;
	int rc;

	if (r->head.seen & HTTP_SEEN_ENCODING) {
		rc = http_chunks_read(&r->chunks, http_incoming_text(r) + r->head.bytes + r->body_bytes, there, &taken,
				      &made);
	} else {
		taken = made = r->body_left < there ? (size_t)r->body_left : there;
		r->body_left -= taken;
		rc = r->body_left > 0 ? -EAGAIN : 0;
	}
	if (rc > 0)
		return rc;
	put_together(r, made, taken);
	return rc == 0 && r->too_long ? HTTP_FAULT_BODY_TOO_LONG : rc;
}

void http_incoming_next(struct http_incoming *r)
{
	http_buffer_take_off(&r->bytes, r->head.bytes + r->body_bytes);
	r->head = (struct http_head){0};
	r->has_head = false;
}
