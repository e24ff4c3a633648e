/* park_queue: see park_queue.h. SPDX-License-Identifier: MIT */
#include "common/base/park_queue.h"

#include <stddef.h>

void park_queue_put_last(struct park_queue *q, struct parked *p, enum park_where where)
{
	p->where = where;
	p->next = NULL;
	p->prev = q->last;
	*(q->last != NULL ? &q->last->next : &q->first) = p;
	q->last = p;
	q->count++;
}

void park_queue_put_first(struct park_queue *q, struct parked *p, enum park_where where)
{
	p->where = where;
	p->prev = NULL;
	p->next = q->first;
	*(q->first != NULL ? &q->first->prev : &q->last) = p;
	q->first = p;
	q->count++;
}

void park_queue_take_out(struct park_queue *q, struct parked *p)
{
	*(p->prev != NULL ? &p->prev->next : &q->first) = p->next;
	*(p->next != NULL ? &p->next->prev : &q->last) = p->prev;
	p->where = PARK_RUNNING;
	q->count--;
}
