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
 * A push to keys or users finds their comets in the same instant in which it is written there: so it stands in the stream before the
 * kick that tells that the key has moved. One to more of them than Redis is to look for at once finds them first, and its script
 * looks once more. Only where an answer was lost and the key moves before the push is sent again does the push arrive on both
 * connections.
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
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/kept.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/config/config.h"
#include "common/config/event_kinds.h"
#include "common/redis/redis_pipe.h"
#include "common/redis/redis_reply.h"
#include "logic/args.h"
#include "logic/bus.h"
#include "logic/push_answer_redis.h"
#include "logic/sent.h"

/* The first arguments of cluster/lua/push.lua and push_to.lua, and one of push_kept.lua and push_user.lua. */
enum { ARG_LENGTH, ARG_BYTES, ARG_LEASE, ARG_GENERATION, ARG_REST, ARG_HISTORY_BYTES = ARG_REST + 3 };

/* So many at most beside the keys. */
#define ARGS_MOST (ARG_REST + 6 + 2 * (WIRE_ENTRY_FIELDS + 2))

struct bus_redis {
	unsigned magic;
#define BUS_REDIS_MAGIC 0xb05ed150
	/* set once */
	struct redis_pipe *pipe;
	const char *instance;
	int64_t timeout_ns;
	char length[24], stream_bytes[24];
	uint64_t measure_bytes; /* so many are written from one look at a stream's size to the next */
	char lease_ms[24];
	char *events; /* as scripts take it; NULL: nobody wants events */
	struct kept kept;
	char history_bytes[24];
	uint64_t measure_history_bytes;
	char numbers[48]; /* of stream.idle_ttl and redis.durable, as the script takes them */
	int64_t number_ttl_ms;
	/* under lock: a push gets its number and its place in the pipe in one step */
	struct lock lock;
	uint64_t seq;
	char generation[24]; /* of the data ... */
	char settled[24];    /* ... and the one under which all comets have said that they are there */
	struct sent sent;
};

/* A push on its way to those who are named, or to one comet, or (both NULL) to all that it concerns. */
struct errand {
	const struct redis_script *script;
	const struct bus_names *names;
	struct fate *fate; /* of those who are named; else NULL */
	const char *server;
	const struct wire_push *push;
	const struct wire_entry *entry;
	int64_t deadline_ns;
	/* How it is kept, as scripts take it: so many messages, and for how long; "": it is not. */
	char messages[16], lives[96];
	char confirm[24]; /* confirm_ms, or "" */
};

/* Is it for keys or users who are found in Redis? */
static bool finds(const struct errand *e)
{
	return e->names != NULL || e->push->stream != NULL;
}

/* The keys that the push is for, or those that a comet is asked to have. A kick names connections: it goes to the comet that had
 * them, even if a key is on another comet now. */
static struct bus_names names_of(const struct errand *e)
{
	if (e->push->stream != NULL)
		return (struct bus_names){0}; /* its user, whom the stream names */
	if (e->names != NULL)
		return *e->names;
	return (struct bus_names){.v = e->push->keys, .n = e->push->target != WIRE_KICK ? e->push->n_keys : 0};
}

/* A leave is told to the comet, whether or not it has the room. */
static const char *room_of(const struct wire_push *push)
{
	return push->room != NULL && push->target != WIRE_LEAVE ? push->room : "";
}

static bool numbers(const struct errand *e)
{
	return e->script == &script_push_kept || e->script == &script_push_user;
}

/* All arguments but the number of the push, whose place is left empty. */
static void describe(struct args *a, const struct bus_redis *b, const struct errand *e, const struct bus_names *names,
		     const char *n_names)
{
	args_add_text(a, b->length);
	args_add_text(a, b->stream_bytes);
	args_add_text(a, b->lease_ms);
	args_add(a, finds(e) ? b->settled : b->generation, 0); /* its place; it is read under the lock below */
	if (numbers(e)) {
		args_add_text(a, e->push->stream != NULL ? e->push->stream + 1 : e->push->room);
		args_add_text(a, e->push->name != NULL ? e->push->name : "");
		args_add_text(a, e->messages);
		args_add_text(a, b->history_bytes);
		args_add_text(a, e->lives);
		if (e->script == &script_push_user)
			args_add_text(a, e->confirm);
	} else if (e->names != NULL) {
		args_add_text(a, names->are_users ? "users" : "keys");
		args_add_text(a, n_names);
	} else {
		args_add_text(a, e->server != NULL ? e->server : "");
		args_add_text(a, room_of(e->push));
		if (e->script == &script_push_join) {
			args_add_text(a, e->lives);
			args_add_text(a, b->events != NULL ? b->events : "");
		}
		args_add_text(a, n_names);
	}
	for (size_t i = 0; i < names->n; i++)
		args_add_text(a, names->v[i]);
	for (size_t i = 0; i < e->entry->n; i++) {
		args_add_text(a, e->entry->fields[i].name);
		args_add(a, e->entry->fields[i].value, e->entry->fields[i].value_bytes);
	}
	args_add_text(a, "from");
	args_add_text(a, b->instance);
	args_add_text(a, "seq");
}

/* Is a comet's stream, or a history, to be measured with this push? About once in each 256th of its bytes, since Redis walks through all
 * of it. By a hash of the number, so that none is left out where pushes go to one after another in turn. */
static bool is_to_measure(const struct bus_redis *b, const struct args *a, uint64_t measure_bytes)
{
	uint64_t dice = (b->seq * 0x9e3779b97f4a7c15) >> 32;
	size_t bytes = 0;

	for (size_t i = ARG_REST; i < a->n; i++)
		bytes += a->bytes[i];
	return dice % measure_bytes < bytes;
}

/* Number the push and queue it. The pipe's own lock is held for a moment only; nothing here waits for Redis. */
static int begin(struct bus_redis *b, const struct errand *e, struct redis_call **call)
{
	const struct bus_names names = names_of(e);
	char seq[24], n_names[24];
	struct args a;
	int rc;

	if ((rc = args_init(&a, ARGS_MOST + names.n)) == 0) {
		(void)snprintf(n_names, sizeof(n_names), "%zu", names.n);
		describe(&a, b, e, &names, n_names);
		lock_take(&b->lock);
		a.bytes[ARG_GENERATION] = strlen(a.v[ARG_GENERATION]);
		(void)snprintf(seq, sizeof(seq), "%llu", (unsigned long long)++b->seq);
		args_add_text(&a, seq);
		if (!is_to_measure(b, &a, b->measure_bytes))
			a.bytes[ARG_BYTES] = 0;
		if (numbers(e) && !is_to_measure(b, &a, b->measure_history_bytes))
			a.bytes[ARG_HISTORY_BYTES] = 0;
		rc = script_beginv(b->pipe, e->script, e->deadline_ns, call, (int)a.n, a.v, a.bytes);
		lock_drop(&b->lock);
	}
	args_fini(&a);
	return rc;
}

/* The answer of the script as a return code. A push to a room has its number then. */
static int judge(struct bus_redis *b, const struct errand *e, const struct redisReply *reply)
{
	if (redis_reply_says(reply, "moved"))
		return -ESTALE;
	if (redis_reply_says(reply, "again") && e->push->name != NULL)
		count(COUNT_PUSHES_REPEATED);
	if (!redis_reply_says(reply, "ok") && !redis_reply_says(reply, "again"))
		/* Redis lost its data a moment ago: until all comets are registered again, "all" would reach too few. */
		return -ERR_NO_LOGIC;
	lock_take(&b->lock);
	(void)snprintf(finds(e) ? b->settled : b->generation, sizeof(b->generation), "%s", redis_reply_text(reply, 1));
	push_answer_note(reply, e->script, &b->sent);
	lock_drop(&b->lock);
	if (e->script == &script_push_kept)
		e->push->message->number = (uint64_t)redis_reply_number(reply, 2);
	if (e->script == &script_push_user)
		e->push->message->number = (uint64_t)redis_reply_number(reply, 4);
	if (e->fate != NULL)
		push_answer_tell(reply, e->names->n, e->fate);
	return 0;
}

/* The end of what was begun. A push that Redis certainly did not write, for want of the script, gets a new number where it is made
 * `again`: pushes behind it may have been written, when another logic brought the script, and comets leave out entries that are not
 * above them. The deadline ends the loop at the latest. */
static int settle(struct bus_redis *b, const struct errand *errand, struct redis_call *call, bool again)
{
	struct redisReply *reply;
	int rc = redis_pipe_end(b->pipe, call, &reply);

	while (rc == -ENOEXEC && again)
		if ((rc = begin(b, errand, &call)) == 0)
			rc = redis_pipe_end(b->pipe, call, &reply);
	if (rc == 0) {
		rc = judge(b, errand, reply);
		freeReplyObject(reply);
	}
	return rc;
}

static int write_entry(struct bus_redis *b, const struct errand *errand)
{
	struct redis_call *call;
	int rc = begin(b, errand, &call);

	return rc == 0 ? settle(b, errand, call, true) : rc;
}

/* Tell comets how much Redis lost of their streams. A number that cannot be told now is told with the next push. */
static void tell_lost(struct bus_redis *b)
{
	const struct wire_push to_one = {.target = WIRE_ALL}; /* without a room or keys */
	struct wire_entry entry;
	struct errand errand = {.script = &script_push, .push = &to_one, .entry = &entry};
	struct sent_word word;
	uint64_t round = 0;
	int rc = 0;

	lock_take(&b->lock);
	if (b->sent.owed > 0)
		round = sent_round(&b->sent);
	/* One that Redis does not take now keeps no other from being told. */
	while (round != 0 && (rc == 0 || rc == -ERR_NO_LOGIC) && sent_take_owed(&b->sent, round, &word)) {
		lock_drop(&b->lock);
		wire_entry_had(word.had, word.epoch, &entry);
		errand.server = word.server;
		errand.deadline_ns = clock_now_ns() + b->timeout_ns;
		rc = write_entry(b, &errand);
		lock_take(&b->lock);
		if (rc < 0)
			sent_owe(&b->sent, &word);
	}
	lock_drop(&b->lock);
}

static void describe_kept(const struct bus_redis *b, struct errand *e)
{
	const char *name = e->push->stream != NULL ? e->push->stream : e->push->room;
	const struct kept_type *type = name != NULL && !e->push->unkept ? kept_of_stream(&b->kept, name) : NULL;

	if (type == NULL)
		return;
	(void)snprintf(e->messages, sizeof(e->messages), "%u", type->messages);
	(void)snprintf(e->lives, sizeof(e->lives), "%s %lld %lld", b->numbers, (long long)type->ttl_ms,
		       (long long)b->number_ttl_ms);
}

static const struct redis_script *script_for(const struct errand *e)
{
	if (e->push->stream != NULL)
		return &script_push_user;
	if (e->names != NULL)
		return &script_push_to;
	if (e->push->target == WIRE_JOIN)
		return &script_push_join;
	if (e->push->target != WIRE_LEAVE && (e->lives[0] != '\0' || e->push->name != NULL))
		return &script_push_kept;
	return &script_push;
}

/* A push between its two halves. */
struct bus_flight {
	struct errand errand; /* without its entry and its deadline at first */
	struct wire_entry entry;
	struct redis_call *call;
};

static int to_push_error(int rc)
{
	return rc == 0 || rc == -EAGAIN || rc == -ESTALE || rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
}

static int take_off(struct bus_redis *b, struct bus_flight *f)
{
	struct errand *e = &f->errand;
	int rc;

	if ((rc = wire_entry_encode(e->push, &f->entry)) < 0)
		return rc;
	e->entry = &f->entry;
	describe_kept(b, e);
	if (e->push->confirm_ms > 0)
		(void)snprintf(e->confirm, sizeof(e->confirm), "%lld", (long long)e->push->confirm_ms);
	e->script = script_for(e);
	e->deadline_ns = clock_now_ns() + b->timeout_ns;
	if ((rc = begin(b, e, &f->call)) < 0)
		wire_entry_fini(&f->entry);
	return to_push_error(rc);
}

static int land(struct bus_redis *b, struct bus_flight *f, bool again)
{
	int rc = settle(b, &f->errand, f->call, again);

	if (rc == 0)
		tell_lost(b);
	wire_entry_fini(&f->entry);
	return to_push_error(rc);
}

static int send_out(struct bus_redis *b, struct bus_flight f)
{
	int rc = take_off(b, &f);

	return rc == 0 ? land(b, &f, true) : rc;
}

static int push_out(void *self, const char *server, const struct wire_push *push)
{
	struct bus_redis *b = self;

	OBJ_CHECK(b, BUS_REDIS_MAGIC);
	return send_out(b, (struct bus_flight){.errand = {.server = server, .push = push}});
}

static int push_to(void *self, const struct bus_names *names, const struct wire_push *push, struct fate *fate)
{
	struct bus_redis *b = self;

	OBJ_CHECK(b, BUS_REDIS_MAGIC);
	BUG_UNLESS(names->n <= BUS_NAMES_MAX);
	return send_out(b, (struct bus_flight){.errand = {.names = names, .fate = fate, .push = push}});
}

static int begin_flight(void *self, const struct bus_names *names, const struct wire_push *push, struct fate *fate,
			struct bus_flight **out)
{
	struct bus_redis *b = self;
	struct bus_flight *f = calloc(1, sizeof(*f));
	int rc;

	OBJ_CHECK(b, BUS_REDIS_MAGIC);
	BUG_UNLESS(names == NULL || names->n <= BUS_NAMES_MAX);
	if (f == NULL)
		return -ENOMEM;
	f->errand = (struct errand){.names = names, .fate = names != NULL ? fate : NULL, .push = push};
	if ((rc = take_off(b, f)) < 0)
		free(f);
	else
		*out = f;
	return rc;
}

/* It is not made again here: those that were begun behind it would have come before it. */
static int end_flight(void *self, struct bus_flight **flight)
{
	struct bus_redis *b = self;
	int rc;

	OBJ_CHECK(b, BUS_REDIS_MAGIC);
	rc = land(b, *flight, false);
	free(*flight);
	*flight = NULL;
	return rc;
}

int bus_redis_new(const struct config *cfg, struct redis_pipe *pipe, const char *instance, struct bus *out)
{
	struct bus_redis *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return -ENOMEM;
	if (event_kinds_words(cfg, &b->events) < 0) {
		free(b);
		return -ENOMEM;
	}
	b->magic = BUS_REDIS_MAGIC;
	b->pipe = pipe;
	b->instance = instance;
	b->timeout_ns = cfg->redis_push_timeout * CLOCK_MS;
	(void)snprintf(b->length, sizeof(b->length), "%lld", (long long)cfg->redis_stream_length);
	(void)snprintf(b->stream_bytes, sizeof(b->stream_bytes), "%lld", (long long)cfg->redis_stream_bytes);
	b->measure_bytes = (uint64_t)cfg->redis_stream_bytes / 256 + 1;
	(void)snprintf(b->lease_ms, sizeof(b->lease_ms), "%lld", (long long)cfg->redis_lease);
	(void)snprintf(b->history_bytes, sizeof(b->history_bytes), "%lld", (long long)cfg->stream_bytes);
	b->measure_history_bytes = (uint64_t)cfg->stream_bytes / 256 + 1;
	(void)kept_parse(cfg->stream_rooms, cfg->stream_users, &b->kept); /* the settings have been checked */
	(void)snprintf(b->numbers, sizeof(b->numbers), "%lld %d", (long long)cfg->stream_idle_ttl,
		       cfg->redis_durable ? 1 : 0);
	b->number_ttl_ms = cfg->stream_position_ttl;
	lock_init(&b->lock, LOCK_BUS);
	sent_init(&b->sent);
	*out = (struct bus){.push = push_out, .push_to = push_to, .begin = begin_flight, .end = end_flight, .self = b};
	return 0;
}

void bus_redis_begin(struct bus *bus, const char *generation)
{
	struct bus_redis *b = bus->self;

	OBJ_CHECK(b, BUS_REDIS_MAGIC);
	lock_take(&b->lock);
	(void)snprintf(b->generation, sizeof(b->generation), "%s", generation);
	(void)snprintf(b->settled, sizeof(b->settled), "%s", generation);
	lock_drop(&b->lock);
}

void bus_redis_free(struct bus *bus)
{
	struct bus_redis *b = bus->self;

	OBJ_CHECK(b, BUS_REDIS_MAGIC);
	sent_fini(&b->sent);
	free(b->events);
	lock_fini(&b->lock);
	b->magic = 0;
	free(b);
	*bus = (struct bus){0};
}
