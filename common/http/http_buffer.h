/* http_buffer: bytes of a caller that wait to be read or sent. It needs no memory while it is empty, and none of its own while the
 * thread that has it lends it some. One thread at a time.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_BUFFER_H
#define COMMON_HTTP_HTTP_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* All zero, it is empty. */
struct http_buffer {
	char *bytes;
	size_t size;
	size_t start, end; /* bytes[start..end) wait */
	bool lent;         /* the memory is the thread's */
};

static inline size_t http_buffer_count(const struct http_buffer *b)
{
	return b->end - b->start;
}

#define HTTP_BUFFER_BYTES 16384

/* An empty one may use these HTTP_BUFFER_BYTES, until http_buffer_keep or _drop. */
void http_buffer_lend(struct http_buffer *b, char *bytes);
/* Give lent memory back; what waits goes to memory of its own. One that is empty has none afterwards. 0 or -ENOMEM. */
int http_buffer_keep(struct http_buffer *b);
/* Make space for n bytes behind the end, and for a zero byte; what waits may move. 0 or -ENOMEM. */
int http_buffer_reserve(struct http_buffer *b, size_t n);
/* Take n bytes off the front. */
void http_buffer_take_off(struct http_buffer *b, size_t n);
/* Give back the memory of an empty one, or of one with anything in it. */
void http_buffer_drop(struct http_buffer *b);

#endif
