/* queue: the messages that wait for one client, oldest first, bounded by count and by bytes. It has no lock of its own: the
 * channel's guards it. SPDX-License-Identifier: MIT */
#ifndef COMET_QUEUE_H
#define COMET_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/message.h"

#define QUEUE_INLINE 4

/* It does not move: `places` may point into it. */
struct queue {
	/* set once */
	uint32_t count_max;
	size_t bytes_max; /* 0: no limit */
	/* changing */
	uint32_t size; /* of places: a power of two */
	uint32_t head;
	uint32_t count;
	size_t bytes;            /* of the bodies of all in it */
	struct message **places; /* `own`, or a malloc'ed ring where a burst needs more */
	struct message *own[QUEUE_INLINE];
};

void queue_init(struct queue *q, uint32_t count_max, size_t bytes_max);
/* Drops the references of all in it; returns how many there were. */
unsigned queue_fini(struct queue *q);

/* Is there space for this one? There always is in an empty queue, or a message of that size could never be sent. */
bool queue_has_space(const struct queue *q, const struct message *msg);
/* Is half of it free, by count and by bytes, or all? */
bool queue_is_half_free(const struct queue *q);
/* One more reference to msg, at the end. 0; -ENOBUFS: full; -ENOMEM. */
int queue_put(struct queue *q, struct message *msg);

/* Name the first ones, up to `max`; they stay in the queue. Returns how many. */
unsigned queue_get(const struct queue *q, struct message **out, unsigned max);
/* The first n leave the queue. Their references are now the caller's, who has their names from queue_get. */
void queue_get_adv(struct queue *q, unsigned n);

#endif
