/* redis_call: see redis_call.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_call.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/obj.h"

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

void redis_call_finish(struct redis_call *call, int rc, struct redisReply *reply)
{
	call->rc = rc;
	call->reply = reply;
	if (atomic_exchange(&call->state, REDIS_CALL_DONE) == REDIS_CALL_ABANDONED)
		redis_call_free(call);
	else
		(void)sem_post(&call->done);
}

bool redis_call_is_done(const struct redis_call *call)
{
	return atomic_load_explicit(&call->state, memory_order_acquire) == REDIS_CALL_DONE;
}

int redis_call_wait(struct redis_call *call)
{
	const struct timespec until = {call->deadline_ns / CLOCK_SEC, call->deadline_ns % CLOCK_SEC};
	enum redis_call_state waited_for = REDIS_CALL_WAITED_FOR;
	int rc;

	while ((rc = sem_clockwait(&call->done, CLOCK_MONOTONIC, &until)) < 0 && errno == EINTR)
		;
	if (rc < 0 && atomic_compare_exchange_strong(&call->state, &waited_for, REDIS_CALL_ABANDONED))
		return -ETIMEDOUT;
	/* It was done in the last moment: whoever did it is about to post, and may do so before this is freed. */
	while (rc < 0 && (rc = sem_wait(&call->done)) < 0 && errno == EINTR)
		;
	BUG_UNLESS(atomic_load(&call->state) == REDIS_CALL_DONE);
	return 0;
}

void redis_call_free(struct redis_call *call)
{
	if (call->reply != NULL)
		freeReplyObject(call->reply);
	(void)sem_destroy(&call->done);
	redisFreeCommand(call->command);
	free(call);
}
