/* push_queue: the jobs of a push thread, in their order. Under the lock of its owner; the references are the owner's, too.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_PUSH_QUEUE_H
#define COMET_PUSH_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "comet/push_job.h"

struct push_queue {
	struct push_job *begun; /* before all others: it is to be gone on with */
	struct push_job **jobs;
	unsigned head, count, max;
	size_t bytes; /* of all of them */
};

/* For so many jobs. 0 or -ENOMEM; push_queue_fini is due in each case. */
int push_queue_init(struct push_queue *q, unsigned max);
void push_queue_fini(struct push_queue *q);

bool push_queue_is_empty(const struct push_queue *q);
/* By number or by bytes. One that was begun may come all the same. */
bool push_queue_is_full(const struct push_queue *q);
/* Behind all others; it is not full. */
void push_queue_put(struct push_queue *q, struct push_job *job);
/* Before all others, once at a time. */
void push_queue_put_begun(struct push_queue *q, struct push_job *job);
/* The first one, which stays, or is taken out; it is not empty. */
struct push_job *push_queue_next(const struct push_queue *q);
struct push_job *push_queue_take(struct push_queue *q);

#endif
