/* buffers: see buffers.h. SPDX-License-Identifier: MIT */
#include "comet/transport/buffers.h"

#include <stdlib.h>

/* As many buffers as a burst of this many clients needs at one time stay for the next burst. */
#define KEEP_BUFFERS 64

struct free_buffer {
	struct free_buffer *next;
};

void buffers_init(struct buffers *b, size_t size)
{
	*b = (struct buffers){
		.size = size > sizeof(struct free_buffer) ? size : sizeof(struct free_buffer),
		.keep_max = KEEP_BUFFERS,
	};
	lock_init(&b->lock, LOCK_POOL);
}

void buffers_fini(struct buffers *b)
{
	while (b->free_list != NULL) {
		struct free_buffer *first = b->free_list;
		b->free_list = first->next;
		free(first);
	}
	lock_fini(&b->lock);
}

uint8_t *buffers_get(struct buffers *b)
{
	struct free_buffer *first;

	lock_take(&b->lock);
	first = b->free_list;
	if (first != NULL) {
		b->free_list = first->next;
		b->n_free--;
	}
	lock_drop(&b->lock);
	return first != NULL ? (uint8_t *)first : malloc(b->size);
}

void buffers_put(struct buffers *b, uint8_t *buffer)
{
	struct free_buffer *first = (struct free_buffer *)(void *)buffer;

	if (buffer == NULL)
		return;
	lock_take(&b->lock);
	if (b->n_free < b->keep_max) {
		first->next = b->free_list;
		b->free_list = first;
		b->n_free++;
		first = NULL;
	}
	lock_drop(&b->lock);
	free(first);
}
