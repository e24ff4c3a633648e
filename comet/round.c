/* round: see round.h. SPDX-License-Identifier: MIT */
#include "comet/round.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/obj.h"

/* Each share sits on cache lines of its own. */
struct round_share {
	struct timer *timer;
	struct buffers buffers;
} __attribute__((aligned(64)));

/* As many buffers as a burst of this many clients needs at one time stay for the next burst. */
#define KEEP_BUFFERS 64

struct free_buffer {
	struct free_buffer *next;
};

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

static void buffers_init(struct buffers *b, size_t size)
{
	b->size = size > sizeof(struct free_buffer) ? size : sizeof(struct free_buffer);
	b->keep_max = KEEP_BUFFERS;
	lock_init(&b->lock, LOCK_POOL);
}

static void buffers_fini(struct buffers *b)
{
	while (b->free_list != NULL) {
		struct free_buffer *first = b->free_list;
		b->free_list = first->next;
		free(first);
	}
	lock_fini(&b->lock);
}

int round_init(struct round *r, unsigned n, size_t buffer_bytes, timer_fire *fire)
{
	int rc;

	r->n = 0;
	r->shares = aligned_alloc(_Alignof(struct round_share), n * sizeof(*r->shares));
	if (r->shares == NULL)
		return -ENOMEM;
	for (; r->n < n; r->n++) {
		struct round_share *share = &r->shares[r->n];

		*share = (struct round_share){0};
		if ((rc = timer_new(fire, &share->timer)) < 0) {
			round_fini(r);
			return rc;
		}
		buffers_init(&share->buffers, buffer_bytes);
	}
	return 0;
}

void round_fini(struct round *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		timer_free(&r->shares[i].timer);
		buffers_fini(&r->shares[i].buffers);
	}
	free(r->shares);
	r->shares = NULL;
	r->n = 0;
}

struct timer *round_timer(struct round *r, unsigned i)
{
	return r->shares[i % r->n].timer;
}

struct buffers *round_buffers(struct round *r, unsigned i)
{
	return &r->shares[i % r->n].buffers;
}
