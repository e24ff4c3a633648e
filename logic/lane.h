/* lane: work that waits, and the threads that do it. First in, first out, but for items of one sender that has its part of the
 * threads already; bounded in number and in bytes, so that a lane
 * that falls behind says so instead of growing. SPDX-License-Identifier: MIT */
#ifndef LOGIC_LANE_H
#define LOGIC_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane;

struct lane_item {
	void *what;       /* owned by the lane from lane_put on, then by the worker */
	size_t bytes;     /* its size, about */
	int64_t since_ns; /* when it came, for the worker */
	uint64_t sender;  /* a hash of who sent it, where one may have but a part of the threads */
};

struct lane_options {
	unsigned threads;
	unsigned threads_of_one; /* as many work for one sender at most, while items of others wait; 0: any number */
	size_t items_max;
	size_t bytes_max; /* the lane is full with so many bytes in it; the last item may go beyond */
	/* Called by the lane's threads, one item each at a time, with no lock held. */
	void (*work)(void *self, const struct lane_item *item);
	void *self;
};

/* Start the threads. 0, -ENOMEM, -EAGAIN. */
int lane_start(const struct lane_options *opt, struct lane **out);
/* Take the item over; false: the lane is full, and the item is the caller's. Any thread; never waits. */
bool lane_put(struct lane *l, const struct lane_item *item);
/* Do the rest, and join. Nobody puts anything in any more. */
void lane_stop(struct lane **l);

#endif
