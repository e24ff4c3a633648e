/* redis_call: a command on its way through a redis_pipe, and lists of them. Part of redis_pipe, which says whose each is.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_CALL_H
#define COMMON_REDIS_REDIS_CALL_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis/redis_script.h"

struct redisReply;

enum redis_call_state {
	REDIS_CALL_WAITED_FOR,
	REDIS_CALL_ABANDONED, /* nobody waits for it: the thread frees it */
	REDIS_CALL_DONE,      /* its caller frees it */
};

struct redis_call {
	struct redis_call *next;
	/* set once */
	const struct redis_script *script; /* NULL: a plain command */
	char *command;                     /* of a script: its arguments in the form of a command */
	size_t bytes;
	enum redis_repeat repeat;
	int64_t deadline_ns;
	/* the thread's */
	bool was_sent;   /* on an earlier connection, so that it may have been done */
	size_t together; /* so many calls, this one first, went out as one command */
	/* set by the thread before it says that it is done */
	int rc;
	struct redisReply *reply;
	/* both */
	_Atomic enum redis_call_state state;
	sem_t done; /* no lock of the pipe's: the thread would hold it as its callers wake up, one after the other */
};

/* First in, first out; {0}: empty. */
struct call_list {
	struct redis_call *first, *last;
	size_t n;
	size_t bytes;
};

void call_list_add(struct call_list *all, struct redis_call *call);
/* The first, or NULL. */
struct redis_call *call_list_take(struct call_list *all);

/* The call has its end; takes the reply over. From then on the call is its caller's, or it is freed. */
void redis_call_finish(struct redis_call *call, int rc, struct redisReply *reply);
bool redis_call_is_done(const struct redis_call *call);
/* Wait for that. 0: it is done. -ETIMEDOUT: it was abandoned, and is the thread's now. */
int redis_call_wait(struct redis_call *call);
/* With its command and its reply. */
void redis_call_free(struct redis_call *call);

#endif
