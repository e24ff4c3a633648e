/* streams: see streams.h. SPDX-License-Identifier: MIT */
#include "cluster/streams.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/script.h"
#include "common/base/err.h"
#include "common/redis/redis_reply.h"

#define NUMBER_BYTES 24
/* Confirmed positions that are written by one script. */
#define CONFIRMS_AT_ONCE 256

/* "<op> <its writer's number> <body>" */
static int read_message(const struct redisReply *text, struct message **out)
{
	const char *end = text->str + text->len, *body;
	char *behind_op;
	long op;

	if (text->type != REDIS_REPLY_STRING)
		return -ERR_NO_LOGIC;
	op = strtol(text->str, &behind_op, 10);
	body = *behind_op == ' ' ? memchr(behind_op + 1, ' ', (size_t)(end - behind_op - 1)) : NULL;
	if (body == NULL || op < INT32_MIN || op > INT32_MAX)
		return -ERR_NO_LOGIC;
	body++;
	return message_new((int32_t)op, body, (uint32_t)(end - body), out);
}

/* [word, number, message, ...] */
static int read_messages(const struct redisReply *reply, struct resume *r)
{
	size_t n = reply->elements > 2 ? reply->elements - 2 : 0;
	int rc;

	if (n >= r->newest)
		return -ERR_NO_LOGIC;
	if ((r->messages = calloc(n + 1, sizeof(struct message *))) == NULL)
		return -ENOMEM;
	for (; r->n < n; r->n++) {
		if ((rc = read_message(reply->element[r->n + 2], &r->messages[r->n])) < 0)
			return rc;
		r->messages[r->n]->number = r->newest - n + 1 + r->n;
	}
	return 0;
}

static int read_reply(const struct redisReply *reply, struct resume *r)
{
	int rc;

	if (redis_reply_says(reply, "none"))
		return -EBUSY;
	r->made = redis_reply_says(reply, "made");
	r->gap = redis_reply_says(reply, "gap");
	if (!r->made && !r->gap && !redis_reply_says(reply, "ok"))
		return -ERR_NO_LOGIC; /* Redis lost its data a moment ago */
	r->gap |= r->made && r->since > 0;
	r->newest = (uint64_t)redis_reply_number(reply, 1);
	if ((rc = read_messages(reply, r)) < 0)
		resume_fini(r);
	return rc;
}

static int begin(struct redis_pipe *pipe, const struct config *cfg, const struct resume *r, int64_t deadline_ns,
		 struct redis_call **call)
{
	char since[NUMBER_BYTES] = "", last[NUMBER_BYTES], ttl[NUMBER_BYTES], idle_ttl[NUMBER_BYTES];
	const char *argv[] = {
		r->room, since, last, ttl, idle_ttl, cfg->redis_durable ? "1" : "0", r->may_make ? "1" : "0"};

	if (r->since > 0)
		(void)snprintf(since, sizeof(since), "%llu", (unsigned long long)r->since);
	(void)snprintf(last, sizeof(last), "%llu", (unsigned long long)r->last);
	(void)snprintf(ttl, sizeof(ttl), "%lld", (long long)cfg->stream_position_ttl);
	(void)snprintf(idle_ttl, sizeof(idle_ttl), "%lld", (long long)cfg->stream_idle_ttl);
	return script_beginv(pipe, &script_resume, deadline_ns, call, sizeof(argv) / sizeof(argv[0]), argv, NULL);
}

/* One that is read alone, or again where Redis had forgotten the script: the deadline ends that at the latest. */
static int read_one(struct redis_pipe *pipe, const struct config *cfg, struct resume *r, int64_t deadline_ns,
		    struct redis_call *call)
{
	struct redisReply *reply = NULL;
	int rc = call != NULL ? redis_pipe_end(pipe, call, &reply) : -ENOEXEC;

	while (rc == -ENOEXEC)
		if ((rc = begin(pipe, cfg, r, deadline_ns, &call)) == 0)
			rc = redis_pipe_end(pipe, call, &reply);
	if (rc < 0 || reply == NULL)
		return rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
	rc = read_reply(reply, r);
	freeReplyObject(reply);
	return rc;
}

void streams_resume(struct redis_pipe *pipe, const struct config *cfg, int64_t deadline_ns, struct resume *all,
		    size_t n)
{
	/* Without memory for them one is read after the other. */
	struct redis_call **calls = calloc(n, sizeof(struct redis_call *));

	for (size_t i = 0; calls != NULL && i < n; i++)
		if (begin(pipe, cfg, &all[i], deadline_ns, &calls[i]) < 0)
			calls[i] = NULL;
	for (size_t i = 0; i < n; i++)
		all[i].rc = read_one(pipe, cfg, &all[i], deadline_ns, calls != NULL ? calls[i] : NULL);
	free(calls);
}

int streams_stay(struct redis_pipe *pipe, const struct config *cfg, const char *const *rooms, size_t n,
		 int64_t deadline_ns)
{
	char ttl[NUMBER_BYTES], idle_ttl[NUMBER_BYTES];
	const char **argv = calloc(n + 2, sizeof(*argv));
	int rc = -ENOMEM;

	(void)snprintf(ttl, sizeof(ttl), "%lld", (long long)cfg->stream_position_ttl);
	(void)snprintf(idle_ttl, sizeof(idle_ttl), "%lld", (long long)cfg->stream_idle_ttl);
	if (argv != NULL) {
		argv[0] = ttl;
		argv[1] = idle_ttl;
		memcpy(argv + 2, rooms, n * sizeof(*rooms));
		rc = script_runv(pipe, &script_stay, deadline_ns, NULL, (int)n + 2, argv);
	}
	free(argv);
	return rc;
}

/* The arguments of confirm.lua, of which as many go at a time as Redis may be kept from others. */
struct confirms {
	const char *argv[1 + 3 * CONFIRMS_AT_ONCE];
	char numbers[CONFIRMS_AT_ONCE][NUMBER_BYTES];
	size_t n;
};

static int confirm_gathered(struct redis_pipe *pipe, struct confirms *c, int64_t deadline_ns)
{
	int rc = c->n > 0 ? script_runv(pipe, &script_confirm, deadline_ns, NULL, (int)(1 + 3 * c->n), c->argv) : 0;

	c->n = 0;
	return rc;
}

static int gather(struct redis_pipe *pipe, struct confirms *c, const char *name, const struct ack *ack,
		  int64_t deadline_ns)
{
	const char **place = &c->argv[1 + 3 * c->n];

	(void)snprintf(c->numbers[c->n], NUMBER_BYTES, "%llu", (unsigned long long)ack->at);
	place[0] = name + 1;
	place[1] = ack->key;
	place[2] = c->numbers[c->n++];
	return c->n == CONFIRMS_AT_ONCE ? confirm_gathered(pipe, c, deadline_ns) : 0;
}

int streams_confirm(struct redis_pipe *pipe, const struct config *cfg, int64_t deadline_ns, const struct acks_of *all,
		    size_t n)
{
	struct confirms *c = calloc(1, sizeof(*c));
	char ttl[NUMBER_BYTES];
	int rc = 0;

	if (c == NULL)
		return -ENOMEM;
	(void)snprintf(ttl, sizeof(ttl), "%lld", (long long)cfg->stream_position_ttl);
	c->argv[0] = ttl;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; rc == 0 && k < all[i].acks.n; k++)
			rc = gather(pipe, c, all[i].name, &all[i].acks.of[k], deadline_ns);
	if (rc == 0)
		rc = confirm_gathered(pipe, c, deadline_ns);
	free(c);
	return rc;
}

int streams_confirmed(struct redis_pipe *pipe, const char *name, int64_t deadline_ns, struct acks *out)
{
	const char *argv[] = {name + 1};
	struct redisReply *reply = NULL;
	int rc = script_runv(pipe, &script_confirmed, deadline_ns, &reply, 1, argv);

	*out = (struct acks){0};
	if (rc < 0)
		return rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
	for (size_t i = 0; rc == 0 && i + 1 < reply->elements; i += 2)
		rc = acks_set(out, redis_reply_text(reply, i), (uint64_t)redis_reply_number(reply, i + 1));
	freeReplyObject(reply);
	if (rc < 0)
		acks_fini(out);
	return rc;
}
