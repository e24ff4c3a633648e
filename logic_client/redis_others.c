/* redis_others: see redis_others.h. SPDX-License-Identifier: MIT */
#include "logic_client/redis_others.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/load.h"
#include "cluster/script.h"
#include "common/base/clock.h"
#include "common/redis/redis_reply.h"

struct other {
	struct logic_node node;
	int64_t connections;
};

static bool read_other(const struct redisReply *r, const char *region, struct other *o)
{
	const char *address = redis_reply_text(r, 0);

	if (address[0] == '\0' || strlen(address) >= sizeof(o->node.address))
		return false;
	(void)snprintf(o->node.address, sizeof(o->node.address), "%s", address);
	o->node.weight = redis_reply_number(r, 1);
	if (o->node.weight < 1)
		o->node.weight = 1;
	o->connections = redis_reply_number(r, 2);
	o->node.near = strcmp(redis_reply_text(r, 3), region) == 0;
	return true;
}

static int by_load(const void *a, const void *b)
{
	const struct other *x = a, *y = b;

	return load_compare(&(struct load){.near = x->node.near,
					   .connections = x->connections,
					   .weight = x->node.weight,
					   .name = x->node.address},
			    &(struct load){.near = y->node.near,
					   .connections = y->connections,
					   .weight = y->node.weight,
					   .name = y->node.address});
}

size_t redis_others(struct redis_pipe *pipe, const struct config *cfg, const char *but, struct logic_node *nodes,
		    size_t max)
{
	int64_t deadline = clock_now_ns() + cfg->redis_timeout * CLOCK_MS;
	struct redisReply *reply;
	struct other *all;
	size_t n = 0;

	if (script_run(pipe, &script_others, deadline, &reply, "%s %lld", but, (long long)cfg->redis_lease) < 0)
		return 0; /* the pipe has logged why; the goodbyes go without */
	if ((all = calloc(reply->elements + 1, sizeof(*all))) != NULL)
		for (size_t i = 0; i < reply->elements; i++)
			n += read_other(reply->element[i], cfg->server_region, &all[n]);
	freeReplyObject(reply);
	if (all != NULL)
		qsort(all, n, sizeof(*all), by_load);
	if (n > max)
		n = max;
	for (size_t i = 0; i < n; i++)
		nodes[i] = all[i].node;
	free(all);
	return n;
}
