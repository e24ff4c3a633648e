/* queue: see queue.h. Under the channel's lock. SPDX-License-Identifier: MIT */
#include "comet/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/obj.h"

static void use_own_places(struct queue *q)
{
	q->places = q->own;
	q->size = QUEUE_INLINE;
	q->head = 0;
}

void queue_init(struct queue *q, uint32_t count_max, size_t bytes_max)
{
	*q = (struct queue){.count_max = count_max, .bytes_max = bytes_max};
	use_own_places(q);
}

static struct message **place(const struct queue *q, uint32_t i)
{
	return &q->places[(q->head + i) & (q->size - 1)];
}

unsigned queue_fini(struct queue *q)
{
	for (uint32_t i = 0; i < q->count; i++)
		message_unref(place(q, i));
	if (q->places != q->own)
		free(q->places);
	return q->count;
}

/* Twice the places. */
static int grow(struct queue *q)
{
	struct message **places = reallocarray(NULL, q->size * 2, sizeof(struct message *));

	if (places == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < q->count; i++)
		places[i] = *place(q, i);
	if (q->places != q->own)
		free(q->places);
	q->places = places;
	q->size *= 2;
	q->head = 0;
	return 0;
}

bool queue_has_space(const struct queue *q, const struct message *msg)
{
	return q->count < q->count_max &&
	       (q->bytes_max == 0 || q->count == 0 || q->bytes + msg->body_bytes <= q->bytes_max);
}

bool queue_is_half_free(const struct queue *q)
{
	return q->count == 0 || (q->count <= q->count_max / 2 && (q->bytes_max == 0 || q->bytes <= q->bytes_max / 2));
}

int queue_put(struct queue *q, struct message *msg)
{
	int rc;

	if (!queue_has_space(q, msg))
		return -ENOBUFS;
	if (q->count == q->size && (rc = grow(q)) < 0)
		return rc;
	*place(q, q->count++) = message_ref(msg);
	q->bytes += msg->body_bytes;
	return 0;
}

unsigned queue_get(const struct queue *q, struct message **out, unsigned max)
{
	unsigned n = q->count < max ? q->count : max;

	for (unsigned i = 0; i < n; i++)
		out[i] = *place(q, i);
	return n;
}

void queue_get_adv(struct queue *q, unsigned n)
{
	BUG_UNLESS(n <= q->count);
	for (unsigned i = 0; i < n; i++)
		q->bytes -= (*place(q, i))->body_bytes;
	q->head = (q->head + n) & (q->size - 1);
	q->count -= n;
	if (q->count == 0 && q->places != q->own) {
		free(q->places);
		use_own_places(q);
	}
}
