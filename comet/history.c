/* history: see history.h. SPDX-License-Identifier: MIT */
#include "comet/history.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/obj.h"

#define SPACE_AT_FIRST 4

size_t history_cost(const struct message *m)
{
	return sizeof(*m) + sizeof(struct message *) + PACKET_HEAD_BYTES + m->body_bytes;
}

static int grow(struct history *h)
{
	size_t space = h->space > 0 ? 2 * h->space : SPACE_AT_FIRST;
	struct message **ring = calloc(space, sizeof(struct message *));

	if (ring == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < h->n; i++)
		ring[i] = h->ring[(h->first + i) % h->space];
	free(h->ring);
	h->ring = ring;
	h->space = space;
	h->first = 0;
	return 0;
}

static void drop_oldest(struct history *h)
{
	struct message **m = &h->ring[h->first];

	h->bytes -= history_cost(*m);
	message_unref(m);
	h->first = (h->first + 1) % h->space;
	h->n--;
}

int history_add(struct history *h, struct message *m, size_t most, size_t bytes_most)
{
	size_t cost = history_cost(m);
	int rc;

	BUG_UNLESS(m->number == h->at + 1 && most > 0);
	if (h->n < most && h->n == h->space && (rc = grow(h)) < 0)
		return rc;
	while (h->n > 0 && (h->n >= most || h->bytes + cost > bytes_most))
		drop_oldest(h);
	h->ring[(h->first + h->n) % h->space] = message_ref(m);
	h->n++;
	h->at++;
	h->bytes += cost;
	return 0;
}

void history_drop(struct history *h)
{
	while (h->n > 0)
		drop_oldest(h);
	free(h->ring);
	*h = (struct history){.at = h->at};
}

struct message *history_get(const struct history *h, uint64_t number)
{
	size_t back = (size_t)(h->at - number);

	BUG_UNLESS(number <= h->at && back < h->n);
	return h->ring[(h->first + h->n - 1 - back) % h->space];
}
