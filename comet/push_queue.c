/* push_queue: see push_queue.h. SPDX-License-Identifier: MIT */
#include "comet/push_queue.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/obj.h"

/* It is full with so much in it, too: by number alone, 4,096 pushes of the longest body would be 4 GB. */
#define BYTES_MAX (64u << 20)

int push_queue_init(struct push_queue *q, unsigned max)
{
	*q = (struct push_queue){.max = max, .jobs = calloc(max, sizeof(*q->jobs))};
	return q->jobs != NULL ? 0 : -ENOMEM;
}

void push_queue_fini(struct push_queue *q)
{
	free(q->jobs);
	*q = (struct push_queue){0};
}

bool push_queue_is_empty(const struct push_queue *q)
{
	return q->count == 0 && q->begun == NULL;
}

bool push_queue_is_full(const struct push_queue *q)
{
	return q->count == q->max || q->bytes >= BYTES_MAX;
}

void push_queue_put(struct push_queue *q, struct push_job *job)
{
	BUG_UNLESS(q->count < q->max);
	q->jobs[(q->head + q->count++) % q->max] = job;
	q->bytes += job->bytes;
}

void push_queue_put_begun(struct push_queue *q, struct push_job *job)
{
	BUG_UNLESS(q->begun == NULL);
	q->begun = job;
	q->bytes += job->bytes;
}

struct push_job *push_queue_next(const struct push_queue *q)
{
	return q->begun != NULL ? q->begun : q->jobs[q->head];
}

struct push_job *push_queue_take(struct push_queue *q)
{
	struct push_job *job = push_queue_next(q);

	if (q->begun != NULL) {
		q->begun = NULL;
	} else {
		q->head = (q->head + 1) % q->max;
		q->count--;
	}
	q->bytes -= job->bytes;
	return job;
}
