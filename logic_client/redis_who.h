/* redis_who: answers the logics that ask which connections this comet has, one question after the other.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_WHO_H
#define LOGIC_CLIENT_REDIS_WHO_H

#include "common/config/config.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_pipe.h"
#include "common/wire/who.h"

struct redis_who;

struct redis_who_options {
	const struct config *cfg;
	const char *server_id;
	struct redis_pipe *pipe;   /* takes the answers */
	struct redis_clock *clock; /* what expired on it is not answered */
	/* Called by its thread, with no lock held. 0 or -ENOMEM. */
	int (*list)(void *self, const struct who_query *query, struct who_page *page);
	void *list_self;
};

/* Start the thread. All that the options point to outlives it. 0, -ENOMEM, -EAGAIN, -errno. */
int redis_who_start(const struct redis_who_options *opt, struct redis_who **out);
/* Join. */
void redis_who_stop(struct redis_who **w);

#endif
