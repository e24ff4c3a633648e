/* http_buffer: see http_buffer.h. SPDX-License-Identifier: MIT */
#include "common/http/http_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 16384

int http_buffer_reserve(struct http_buffer *b, size_t n)
{
	size_t count = http_buffer_count(b), size = b->size > 0 ? b->size : FIRST_BYTES;
	char *bytes;

	if (b->size > 0 && b->size - b->end > n)
		return 0;
	while (size - count <= n)
		size *= 2;
	if (size == b->size) {
		memmove(b->bytes, b->bytes + b->start, count);
	} else {
		if ((bytes = malloc(size)) == NULL)
			return -ENOMEM;
		if (count > 0)
			memcpy(bytes, b->bytes + b->start, count);
		free(b->bytes);
		b->bytes = bytes;
		b->size = size;
	}
	b->start = 0;
	b->end = count;
	return 0;
}

void http_buffer_take_off(struct http_buffer *b, size_t n)
{
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void http_buffer_drop(struct http_buffer *b)
{
	free(b->bytes);
	*b = (struct http_buffer){0};
}
