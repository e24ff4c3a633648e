/* park_options: how a park is to be. For park.h, which says more. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_PARK_OPTIONS_H
#define COMMON_BASE_PARK_OPTIONS_H

#include "common/base/park_queue.h"
#include "common/base/thread.h"

struct park_options {
	const char *name; /* of its threads, static, at most 15 bytes */
	enum thread_kind kind;
	unsigned waiters;     /* as many as cores: more are colder, and less is idle */
	unsigned blocked_max; /* threads that may block at a time */
	void (*resume)(struct parked *p);
	unsigned nested_max; /* others served in the place of a wait, within each other on one stack */
};

#endif
