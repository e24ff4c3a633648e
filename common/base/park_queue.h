/* park_queue: what is parked and waits for something else than its socket, in its order. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_PARK_QUEUE_H
#define COMMON_BASE_PARK_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Where something is; the park's lock guards it. */
enum park_where {
	PARK_RUNNING, /* or in the epoll, which tells of it once */
	PARK_WATCHED, /* in the epoll, which goes on telling of it */
	PARK_ASLEEP,
	PARK_IN_TURN, /* queued, to block */
	PARK_READY,   /* queued, to be resumed: it was woken, or yields */
	PARK_FOUND,   /* the same: its socket is ready */
};

/* Lies inside what is parked. All zero at first; its fields are the park's (park.h). */
struct parked {
	struct parked *next, *prev; /* in its queue */
	int fd;                     /* of a stream, see park_on_stream */
	uint8_t where;
	atomic_bool known; /* epoll has its socket */
	/* whoever runs it */
	bool has_turn : 1; /* it waited for its turn to block, which has come */
	bool is_guest : 1; /* set once, see park_guest */
	bool : 0;          /* the next ones change meanwhile, and are a byte of their own */
	bool woken : 1;    /* while it was not asleep */
	bool ends : 1;     /* its stream has an end, which is there for good */
	uint8_t owed : 2; /* so often it is ready at once when it parks: its stream had something while it was not parked there */
};

struct park_queue {
	struct parked *first, *last;
	unsigned count;
};

/* p is in no queue. */
void park_queue_put_last(struct park_queue *q, struct parked *p, enum park_where where);
void park_queue_put_first(struct park_queue *q, struct parked *p, enum park_where where);
/* From wherever it stands in q; then it is PARK_RUNNING. */
void park_queue_take_out(struct park_queue *q, struct parked *p);

#endif
