/* redis_client: the way to logic over Redis: a struct logic_client for the way up, and a sink for the pushes that come down. It also
 * holds this comet's name in the cluster, by a lease. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_CLIENT_H
#define LOGIC_CLIENT_REDIS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/member.h"
#include "common/base/client_ports.h"
#include "common/wire/who.h"
#include "logic_client/logic_client.h"

/* Called for one connection that is online; false: stop the walk. It may take its time. */
typedef bool redis_client_each(void *arg, const struct seat *seat);

struct redis_client_options {
	struct cluster_member member;
	/* Where pushes go. One thread calls it, and after -EAGAIN or -ENOMEM tries the same push again; connecting threads may
	 * call it with kicks. */
	push_sink *sink;
	void *sink_self;
	/* Walk all connections that are in a bucket now, in any order, with no lock held; those that come or go meanwhile may
	 * be left out. Called by a thread of redis_client when Redis has lost its data, to register them again. 0, also where
	 * each wanted no more; -ENOMEM: others were left out, too. */
	int (*each_online)(void *self, redis_client_each *each, void *arg);
	void *each_online_self;
	/* A page of the connections, for a logic that asks; see comet/who.h. Called by a thread of redis_client. 0 or -ENOMEM. */
	int (*list)(void *self, const struct who_query *query, struct who_page *page);
	void *list_self;
	/* Another comet has this one's name: it must go, if it does not go already. Called once at most, by a thread of
	 * redis_client, and returns at once. */
	void (*fenced)(void *self);
	void *fenced_self;
};

struct redis_client;

/* Take the name, and start. Waits for Redis, and for an older holder's lease to end; from its return on nothing that is
 * pushed to this comet is missed, so clients may come in. All that opt points to outlives it.
 *   0, -ERR_NAMESAKE  another comet has this name
 *   -ERR_NO_REDIS  Redis was unreachable, or took nothing from us, for 30 s
 *   -ENOMEM, -EAGAIN, -errno; each has been logged */
int redis_client_start(const struct redis_client_options *opt, struct redis_client **out);
/* This comet's registrations are void at once; waits for at most a second until logic was told of the last disconnects. Nobody
 * calls its table any more. */
void redis_client_stop(struct redis_client **c);

/* Clients come in at these ports from now on: other programs are told. Any thread. */
void redis_client_opened(struct redis_client *c, struct client_ports ports);

struct logic_client redis_client_table(struct redis_client *c);

/* For /readyz; arg is the struct redis_client *: 0, or -ENOTCONN (Redis is unreachable) or -ERR_NO_LOGIC with words in text. */
int redis_client_ready(void *arg, char *text, size_t text_bytes);

#endif
