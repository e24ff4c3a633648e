/* redis_call: a command on its way through a redis_pipe, and lists of them. Part of redis_pipe, which says whose each is.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_CALL_H
#define COMMON_REDIS_REDIS_CALL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis/redis_script.h"

struct redisReply;

struct redis_call {
	struct redis_call *next;
	/* set once */
	const struct redis_script *script; /* NULL: a plain command */
	char *command;                     /* of a script: its arguments in the form of a command */
	size_t bytes;
	enum redis_repeat repeat;
	int64_t deadline_ns;
	/* the thread's */
	bool was_sent; /* on an earlier connection, so that it may have been done */
	/* under the pipe's lock */
	bool done;
	bool abandoned; /* nobody waits for it: the thread frees it */
	int rc;
	struct redisReply *reply;
	pthread_cond_t wake;
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

/* With its command and its reply. */
void redis_call_free(struct redis_call *call);

#endif
