/* buffers: read buffers of one size, lent while a packet or a burst needs one. A few are kept for the next borrower.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_BUFFERS_H
#define COMET_TRANSPORT_BUFFERS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/lock.h"

struct buffers {
	/* set once */
	size_t size;
	unsigned keep_max;
	/* under lock */
	struct lock lock;
	void *free_list;
	unsigned n_free;
};

/* Buffers of at least `size` bytes each. */
void buffers_init(struct buffers *b, size_t size);
/* All that were lent are back. */
void buffers_fini(struct buffers *b);

/* A buffer of b->size bytes, or NULL. Takes b->lock. */
uint8_t *buffers_get(struct buffers *b) WITHOUT(b->lock);
/* Give it back; NULL is ignored. Takes b->lock. */
void buffers_put(struct buffers *b, uint8_t *buffer) WITHOUT(b->lock);

#endif
