/* http_chunks: a body that comes in chunks, put together where it lies. Pure; it may stop at any byte and go on.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_CHUNKS_H
#define COMMON_HTTP_HTTP_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

/* All zero at first. */
struct http_chunks {
	int state;
	uint64_t left;   /* of a chunk */
	uint32_t digits; /* of its length */
	uint32_t aside;  /* bytes so far that are no body: lengths, what follows them, and trailers */
};

/* The next n bytes, of which *taken were used; *made bytes of body lie at their front.
 *   -EAGAIN  more is to come, all were used
 *   0        the body is whole; what is not used begins the next request
 *   other    an enum http_fault */
int http_chunks_read(struct http_chunks *c, char *bytes, size_t n, size_t *taken, size_t *made);

#endif
