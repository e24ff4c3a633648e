/* inbox: see inbox.h. SPDX-License-Identifier: MIT */
#include "client/inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 4096

static int grow(struct inbox *box, size_t want)
{
	size_t cap = box->cap > 0 ? box->cap : FIRST_BYTES;
	uint8_t *bytes;

	while (cap < want)
		cap *= 2;
	if ((bytes = realloc(box->bytes, cap)) == NULL)
		return -ENOMEM;
	box->bytes = bytes;
	box->cap = cap;
	return 0;
}

int inbox_put(struct inbox *box, const void *bytes, size_t n)
{
	size_t held = inbox_held(box);

	if (n == 0)
		return 0;
	if (box->cap < held + n && grow(box, held + n) < 0)
		return -ENOMEM;
	if (box->cap - box->end < n) {
		memmove(box->bytes, box->bytes + box->start, held);
		box->start = 0;
		box->end = held;
	}
	memcpy(box->bytes + box->end, bytes, n);
	box->end += n;
	return 0;
}

size_t inbox_take(struct inbox *box, uint8_t *out, size_t max)
{
	size_t n = inbox_held(box) < max ? inbox_held(box) : max;

	if (n == 0)
		return 0;
	memcpy(out, box->bytes + box->start, n);
	box->start += n;
	if (box->start == box->end)
		box->start = box->end = 0;
	return n;
}

size_t inbox_held(const struct inbox *box)
{
	return box->end - box->start;
}

void inbox_fini(struct inbox *box)
{
	free(box->bytes);
	*box = (struct inbox){0};
}
