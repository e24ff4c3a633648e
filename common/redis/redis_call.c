/* redis_call: see redis_call.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_call.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

void call_list_add(struct call_list *all, struct redis_call *call)
{
	call->next = NULL;
	if (all->last != NULL)
		all->last->next = call;
	else
		all->first = call;
	all->last = call;
	all->n++;
	all->bytes += call->bytes;
}

struct redis_call *call_list_take(struct call_list *all)
{
	struct redis_call *call = all->first;

	if (call == NULL)
		return NULL;
	all->first = call->next;
	if (all->first == NULL)
		all->last = NULL;
	all->n--;
	all->bytes -= call->bytes;
	return call;
}

void redis_call_free(struct redis_call *call)
{
	if (call->reply != NULL)
		freeReplyObject(call->reply);
	(void)pthread_cond_destroy(&call->wake);
	redisFreeCommand(call->command);
	free(call);
}
