/* http_buffer: see http_buffer.h. SPDX-License-Identifier: MIT */
#include "common/http/http_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void http_buffer_lend(struct http_buffer *b, char *bytes)
{
	if (b->bytes == NULL)
		*b = (struct http_buffer){.bytes = bytes, .size = HTTP_BUFFER_BYTES, .lent = true};
}

static int move(struct http_buffer *b, size_t size)
{
	size_t count = http_buffer_count(b);
	char *bytes = malloc(size);

	if (bytes == NULL)
		return -ENOMEM;
	if (count > 0)
		memcpy(bytes, b->bytes + b->start, count);
	http_buffer_drop(b);
	*b = (struct http_buffer){.bytes = bytes, .size = size, .end = count};
	return 0;
}

int http_buffer_keep(struct http_buffer *b)
{
	if (http_buffer_count(b) == 0)
		http_buffer_drop(b);
	return b->lent ? move(b, HTTP_BUFFER_BYTES) : 0;
}

int http_buffer_reserve(struct http_buffer *b, size_t n)
{
	size_t count = http_buffer_count(b), size = b->size > 0 ? b->size : HTTP_BUFFER_BYTES;

	if (b->size > 0 && b->size - b->end > n)
		return 0;
	while (size - count <= n)
		size *= 2;
	if (size != b->size)
		return move(b, size);
	memmove(b->bytes, b->bytes + b->start, count);
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
	if (!b->lent)
		free(b->bytes);
	*b = (struct http_buffer){0};
}
