/* ring: see ring.h. Under the channel's lock. SPDX-License-Identifier: MIT */
#include "comet/ring.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/obj.h"

int ring_init(struct ring *r, uint32_t size)
{
	uint32_t n = 1;

	while (n < size)
		n *= 2;
	r->slots = calloc(n, sizeof(*r->slots));
	if (r->slots == NULL)
		return -ENOMEM;
	r->size = n;
	r->rp = 0;
	r->wp = 0;
	return 0;
}

void ring_fini(struct ring *r)
{
	while (ring_count(r) > 0)
		ring_get_adv(r);
	/* The reader may have left in the middle of a packet. */
	packet_drop_body(&r->slots[r->wp & (r->size - 1)]);
	free(r->slots);
	r->slots = NULL;
}

int ring_set(struct ring *r, struct packet **p)
{
	if (ring_is_full(r))
		return -EAGAIN;
	*p = &r->slots[r->wp & (r->size - 1)];
	return 0;
}

void ring_set_adv(struct ring *r)
{
	BUG_UNLESS(!ring_is_full(r));
	r->wp++;
}

int ring_get(struct ring *r, uint32_t i, struct packet **p)
{
	if (i >= ring_count(r))
		return -EAGAIN;
	*p = &r->slots[(r->rp + i) & (r->size - 1)];
	return 0;
}

void ring_get_adv(struct ring *r)
{
	BUG_UNLESS(ring_count(r) > 0);
	packet_drop_body(&r->slots[r->rp & (r->size - 1)]);
	r->rp++;
}
