/* ring: see ring.h. Under the channel's lock. SPDX-License-Identifier: MIT */
#include "comet/ring.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/obj.h"

static struct packet *slot(struct ring *r, uint32_t at)
{
	at &= r->size - 1;
	return at == 0 ? &r->first : &r->rest[at - 1];
}

void ring_init(struct ring *r, uint32_t size)
{
	uint32_t n = 1;

	while (n < size)
		n *= 2;
	*r = (struct ring){.size = n};
}

static void free_rest(struct ring *r)
{
	free(r->rest);
	r->rest = NULL;
}

void ring_fini(struct ring *r)
{
	while (ring_count(r) > 0)
		ring_get_adv(r);
	/* The reader may have left in the middle of a packet. */
	if (r->begun)
		packet_drop_body(slot(r, r->wp));
	free_rest(r);
}

/* Empty, it begins anew with the slot that needs no memory. Nobody has another by then: only the reader comes here. */
static void begin_anew(struct ring *r)
{
	free_rest(r);
	r->rp = 0;
	r->wp = 0;
}

int ring_set(struct ring *r, struct packet **p)
{
	if (ring_is_full(r))
		return -EAGAIN;
	if (ring_count(r) == 0 && !r->begun)
		begin_anew(r);
	if ((r->wp & (r->size - 1)) != 0 && r->rest == NULL &&
	    (r->rest = calloc(r->size - 1, sizeof(*r->rest))) == NULL)
		return -ENOMEM;
	r->begun = true;
	*p = slot(r, r->wp);
	return 0;
}

void ring_set_adv(struct ring *r)
{
	BUG_UNLESS(!ring_is_full(r) && r->begun);
	r->begun = false;
	r->wp++;
}

int ring_get(struct ring *r, uint32_t i, struct packet **p)
{
	if (i >= ring_count(r))
		return -EAGAIN;
	*p = slot(r, r->rp + i);
	return 0;
}

void ring_get_adv(struct ring *r)
{
	BUG_UNLESS(ring_count(r) > 0);
	packet_drop_body(slot(r, r->rp));
	r->rp++;
}
