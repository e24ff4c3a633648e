/* bus_redis: see bus.h. Pushes go into one stream for each comet, comet:push:<server>. Any thread.
 *
 * A push to a room or to all is put into the streams of all comets that it concerns by one script, which is atomic. So there
 * is one stream to read for a comet, and one order in it: that of the calls. A shared stream for rooms and all beside each
 * comet's own would have to be merged by ids whose milliseconds can be equal.
 *
 * Every push carries its writer's name and a number that only grows. A push whose answer was lost with the connection is sent
 * again with its number, before all newer pushes; a comet leaves out entries that are not above the last number that it has from
 * this writer. So each push arrives once and in order, even if Redis has executed it twice.
 *
 * A push to keys first finds their comets, and goes there in a second step. The script looks once more, in the same instant in
 * which it writes: a push that it accepts stands in the stream before the kick that tells that the key has moved. Only where an
 * answer was lost and the key moves before the push is sent again does the push arrive on both connections.
 *
 * When Redis loses its data, the entries that a comet had not read are lost, and only the answers to our pushes tell their number:
 * each says how far a stream went. The first push that is accepted afterwards brings that number to every comet (sent.h).
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/script.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/config/config.h"
#include "common/redis/redis_pipe.h"
#include "common/redis/redis_reply.h"
#include "logic/bus.h"
#include "logic/sent.h"

/* Arguments of cluster/lua/push.lua before the keys and the fields of the push. */
enum { ARG_LENGTH, ARG_BYTES, ARG_LEASE, ARG_GENERATION, ARG_SERVER, ARG_ROOM, ARG_KEYS, ARG_REST };

/* So many at most beside the keys. */
#define ARGS_MOST (ARG_REST + 2 * (WIRE_ENTRY_FIELDS + 2))

struct args {
	const char **v;
	size_t *bytes;
	size_t n, most;
};

struct bus_redis {
	unsigned magic;
#define BUS_REDIS_MAGIC 0xb05ed150
	/* set once */
	struct redis_pipe *pipe;
	const char *instance;
	int64_t timeout_ns;
	char length[24], stream_bytes[24];
	char lease_ms[24];
	/* under lock: a push gets its number and its place in the pipe in one step */
	struct lock lock;
	uint64_t seq;
	char generation[24];
	struct sent sent;
};

/* A push on its way to one comet, or (server NULL) to all that it concerns. */
struct errand {
	const char *server;
	const struct wire_push *push;
	const struct wire_entry *entry;
	int64_t deadline_ns;
};

static int args_init(struct args *a, size_t most)
{
	*a = (struct args){.v = calloc(most, sizeof(*a->v)), .bytes = calloc(most, sizeof(*a->bytes)), .most = most};
	return a->v != NULL && a->bytes != NULL ? 0 : -ENOMEM;
}

static void args_fini(struct args *a)
{
	free(a->v);
	free(a->bytes);
}

static void arg(struct args *a, const char *text, size_t bytes)
{
	BUG_UNLESS(a->n < a->most);
	a->v[a->n] = text;
	a->bytes[a->n++] = bytes;
}

static void arg_text(struct args *a, const char *text)
{
	arg(a, text, strlen(text));
}

/* All arguments but the number of the push, whose place is left empty. */
static void describe(struct args *a, const struct bus_redis *b, const struct errand *e, const char *n_keys)
{
	const struct wire_push *push = e->push;

	arg_text(a, b->length);
	arg_text(a, b->stream_bytes);
	arg_text(a, b->lease_ms);
	arg(a, b->generation, 0); /* its place; it is read under the lock below */
	arg_text(a, e->server != NULL ? e->server : "");
	arg_text(a, push->target == WIRE_ROOM ? push->room : "");
	arg_text(a, n_keys);
	for (size_t i = 0; push->target == WIRE_KEYS && i < push->n_keys; i++)
		arg_text(a, push->keys[i]);
	for (size_t i = 0; i < e->entry->n; i++) {
		arg_text(a, e->entry->fields[i].name);
		arg(a, e->entry->fields[i].value, e->entry->fields[i].value_bytes);
	}
	arg_text(a, "from");
	arg_text(a, b->instance);
	arg_text(a, "seq");
}

/* Is the stream to be measured with this push? About once in 64 KiB, since it costs more than a small entry does. By a hash of the
 * number, so that no comet is left out where pushes go to one after another in turn. */
static bool is_to_measure(const struct args *a, uint64_t seq)
{
	uint64_t dice = (seq * 0x9e3779b97f4a7c15) >> 48;
	size_t bytes = 0;

	for (size_t i = ARG_REST; i < a->n; i++)
		bytes += a->bytes[i];
	return dice < bytes;
}

/* Number the push and queue it. The pipe's own lock is held for a moment only; nothing here waits for Redis. */
static int begin(struct bus_redis *b, const struct errand *e, struct redis_call **call)
{
	/* A kick names connections: it goes to the comet that had them, even if a key is on another comet now. */
	size_t n = e->push->target == WIRE_KEYS ? e->push->n_keys : 0;
	char seq[24], n_keys[24];
	struct args a;
	int rc;

	if ((rc = args_init(&a, ARGS_MOST + n)) == 0) {
		(void)snprintf(n_keys, sizeof(n_keys), "%zu", n);
		describe(&a, b, e, n_keys);
		lock_take(&b->lock);
		a.bytes[ARG_GENERATION] = strlen(b->generation);
		(void)snprintf(seq, sizeof(seq), "%llu", (unsigned long long)++b->seq);
		arg_text(&a, seq);
		if (!is_to_measure(&a, b->seq))
			a.bytes[ARG_BYTES] = 0;
		rc = script_beginv(b->pipe, &script_push, e->deadline_ns, call, (int)a.n, a.v, a.bytes);
		lock_drop(&b->lock);
	}
	args_fini(&a);
	return rc;
}

/* The stream of each comet that got it: name, epoch, number of the entry. */
static void note_locked(struct bus_redis *b, const struct redisReply *reply) NEEDS(b->lock)
{
	struct sent_answer answer = {.generation = (uint64_t)redis_reply_number(reply, 1)};

	for (size_t i = 2; i + 2 < reply->elements; i += 3) {
		answer.server = redis_reply_text(reply, i);
		answer.epoch = (uint64_t)redis_reply_number(reply, i + 1);
		answer.n = (uint64_t)redis_reply_number(reply, i + 2);
		sent_note(&b->sent, &answer);
	}
}

/* The answer of the script as a return code. */
static int judge(struct bus_redis *b, const struct redisReply *reply)
{
	if (redis_reply_says(reply, "moved"))
		return -ESTALE;
	if (!redis_reply_says(reply, "ok"))
		/* Redis lost its data a moment ago: until all comets are registered again, "all" would reach too few. */
		return -ERR_NO_LOGIC;
	lock_take(&b->lock);
	(void)snprintf(b->generation, sizeof(b->generation), "%s", redis_reply_text(reply, 1));
	note_locked(b, reply);
	lock_drop(&b->lock);
	return 0;
}

/* The entry is freed. */
static int write_entry(struct bus_redis *b, const char *server, const struct wire_push *push, struct wire_entry *entry)
{
	const struct errand errand = {server, push, entry, clock_now_ns() + b->timeout_ns};
	struct redisReply *reply;
	struct redis_call *call;
	int rc;

	/* A push that Redis certainly did not write, for want of the script, gets a new number: pushes behind it may have been
	 * written, when another logic brought the script, and comets leave out entries that are not above them. The deadline
	 * ends the loop at the latest. */
	do {
		if ((rc = begin(b, &errand, &call)) == 0)
			rc = redis_pipe_end(b->pipe, call, &reply);
	} while (rc == -ENOEXEC);
	wire_entry_fini(entry);
	if (rc == 0) {
		rc = judge(b, reply);
		freeReplyObject(reply);
	}
	return rc;
}

/* Tell comets how much Redis lost of their streams. A number that cannot be told now is told with the next push. */
static void tell_lost(struct bus_redis *b)
{
	const struct wire_push to_one = {.target = WIRE_ALL}; /* without a room or keys */
	struct sent_word word;
	struct wire_entry entry;
	bool owed;
	int rc = 0;

	while (rc == 0) {
		lock_take(&b->lock);
		owed = sent_take_owed(&b->sent, &word);
		lock_drop(&b->lock);
		if (!owed)
			return;
		wire_entry_had(word.had, word.epoch, &entry);
		rc = write_entry(b, word.server, &to_one, &entry);
	}
	lock_take(&b->lock);
	sent_owe(&b->sent, &word);
	lock_drop(&b->lock);
}

static int push_out(void *self, const char *server, const struct wire_push *push)
{
	struct bus_redis *b = self;
	struct wire_entry entry;
	int rc;

	OBJ_CHECK(b, BUS_REDIS_MAGIC);
	if ((rc = wire_entry_encode(push, &entry)) < 0)
		return rc;
	if ((rc = write_entry(b, server, push, &entry)) == 0)
		tell_lost(b);
	return rc == 0 || rc == -EAGAIN || rc == -ESTALE || rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
}

int bus_redis_new(const struct config *cfg, struct redis_pipe *pipe, const char *instance, struct bus *out)
{
	struct bus_redis *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return -ENOMEM;
	b->magic = BUS_REDIS_MAGIC;
	b->pipe = pipe;
	b->instance = instance;
	b->timeout_ns = cfg->redis_push_timeout * CLOCK_MS;
	(void)snprintf(b->length, sizeof(b->length), "%lld", (long long)cfg->redis_stream_length);
	(void)snprintf(b->stream_bytes, sizeof(b->stream_bytes), "%lld", (long long)cfg->redis_stream_bytes);
	(void)snprintf(b->lease_ms, sizeof(b->lease_ms), "%lld", (long long)cfg->redis_lease);
	lock_init(&b->lock, LOCK_BUS);
	sent_init(&b->sent);
	*out = (struct bus){.push = push_out, .self = b};
	return 0;
}

void bus_redis_begin(struct bus *bus, const char *generation)
{
	struct bus_redis *b = bus->self;

	OBJ_CHECK(b, BUS_REDIS_MAGIC);
	lock_take(&b->lock);
	(void)snprintf(b->generation, sizeof(b->generation), "%s", generation);
	lock_drop(&b->lock);
}

void bus_redis_free(struct bus *bus)
{
	struct bus_redis *b = bus->self;

	OBJ_CHECK(b, BUS_REDIS_MAGIC);
	sent_fini(&b->sent);
	lock_fini(&b->lock);
	b->magic = 0;
	free(b);
	*bus = (struct bus){0};
}
