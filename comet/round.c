/* round: see round.h. SPDX-License-Identifier: MIT */
#include "comet/round.h"

#include <errno.h>
#include <stdlib.h>

/* Each share sits on cache lines of its own. */
struct round_share {
	struct timer *timer;
	struct buffers buffers;
} __attribute__((aligned(64)));

int round_init(struct round *r, unsigned n, size_t buffer_bytes, timer_fire *fire)
{
	int rc;

	r->n = 0;
	r->shares = aligned_alloc(_Alignof(struct round_share), n * sizeof(*r->shares));
	if (r->shares == NULL)
		return -ENOMEM;
	for (; r->n < n; r->n++) {
		struct round_share *share = &r->shares[r->n];

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

struct timer *round_timer(struct round *r, unsigned turn)
{
	return r->shares[turn % r->n].timer;
}

struct buffers *round_buffers(struct round *r, unsigned turn)
{
	return &r->shares[turn % r->n].buffers;
}
