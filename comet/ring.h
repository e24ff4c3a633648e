/* ring: the packets of one client that were read and are not yet answered. The reader sets, the holder of the baton gets.
 * It has no lock of its own: the channel's guards it; the slot that ring_set names is the reader's until ring_set_adv, the
 * slots that ring_get names are the getter's until ring_get_adv. SPDX-License-Identifier: MIT */
#ifndef COMET_RING_H
#define COMET_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire/packet.h"

/* It does not move. Mostly one packet at a time is in it: the first slot lies here, and memory for the others is there only until
 * ring_set finds it empty again. */
struct ring {
	struct packet first;
	struct packet *rest; /* size - 1, or NULL */
	uint32_t size;       /* a power of two */
	uint32_t rp;         /* next to get; counts on past size, as does wp */
	uint32_t wp;         /* next to set */
	bool begun;          /* its slot is the reader's */
};

/* At least `size` slots (rounded up to a power of two). */
void ring_init(struct ring *r, uint32_t size);
/* Frees the bodies of packets still in it. */
void ring_fini(struct ring *r);

/* The slot to read the next packet into, the same until ring_set_adv. 0; -EAGAIN: the ring is full; -ENOMEM. */
int ring_set(struct ring *r, struct packet **p);
/* The packet in that slot is there to be answered. */
void ring_set_adv(struct ring *r);

/* The i-th packet to answer. 0, or -EAGAIN when there are no more than i. */
int ring_get(struct ring *r, uint32_t i, struct packet **p);
/* The first was answered: its body is freed, its slot may be set again. */
void ring_get_adv(struct ring *r);

static inline uint32_t ring_count(const struct ring *r)
{
	return r->wp - r->rp;
}

static inline bool ring_is_full(const struct ring *r)
{
	return ring_count(r) == r->size;
}

#endif
