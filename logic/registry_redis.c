/* registry_redis: see registry.h. The registry in Redis. Any thread; each call is one script, or a few in one write.
 *
 * A session counts only while its comet's lease stands, with the epoch under which the session was made: the sessions of a dead comet
 * are void at once when its lease is removed or taken over, and go by their time to live. Comets write their leases and room counts
 * themselves (logic_client/redis_lease.c), so that these outlive all logics.
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
#include "common/config/event_kinds.h"
#include "common/redis/redis_pipe.h"
#include "common/redis/redis_reply.h"
#include "logic/online_redis.h"
#include "logic/registry.h"

/* Keys and users asked for in one script: Redis does nothing else meanwhile. */
#define CHUNK 256
/* A session is valid by its comet's lease alone; its time to live is for one that nobody ends. A day, so that a clock may jump by
 * hours; and a session is renewed at every heartbeat, of which so many may be lost. */
#define TTL_MS     86400000
#define HEARTBEATS 3

struct registry_redis {
	unsigned magic;
#define REGISTRY_REDIS_MAGIC 0x4e615000
	/* set once */
	struct redis_pipe *pipe;
	int64_t timeout_ns;
	char ttl_ms[24]; /* of a session */
	char lease_ms[24];
	char *events; /* as scripts take it; NULL: none */
	/* any thread */
	struct online_redis online;
	/* under lock */
	struct lock lock;
	char generation[24]; /* of Redis's data, as last seen */
};

static struct registry_redis *registry_of(void *self)
{
	struct registry_redis *r = self;

	OBJ_CHECK(r, REGISTRY_REDIS_MAGIC);
	return r;
}

/* ---- calling scripts ---- */

static int to_logic_error(int rc)
{
	return rc == 0 || rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
}

/* 0 and an array of strings, or -ENOMEM, -ERR_NO_LOGIC. */
static int run(struct registry_redis *r, const struct redis_script *script, struct redisReply **reply, size_t n,
	       const char **args)
{
	return to_logic_error(script_runv(r->pipe, script, clock_now_ns() + r->timeout_ns, reply, (int)n, args));
}

/* The last argument is there only where somebody wants events. */
static size_t with_events(const struct registry_redis *r, size_t n)
{
	return r->events != NULL ? n + 1 : n;
}

struct number {
	char text[24];
};

static struct number number(int64_t value)
{
	struct number n;

	(void)snprintf(n.text, sizeof(n.text), "%lld", (long long)value);
	return n;
}

/* ---- one registration ---- */

/* A registration as it stands in an answer: server and id, from element i on. */
static struct registry_entry entry_at(const struct redisReply *reply, const char *key, size_t i)
{
	return (struct registry_entry){
		.key = (char *)(uintptr_t)key,
		.server = (char *)(uintptr_t)redis_reply_text(reply, i),
		.session_id = (uint64_t)redis_reply_number(reply, i + 1),
	};
}

/* The number of what was written stands before element i, and there, where the reply has it, the registration that was replaced. Without memory for it nobody is told; the new registration stands all the same, and the
 * replaced connection's next heartbeat ends it. */
static void tell_old(struct registry_found *old, const struct redisReply *reply, const char *key, size_t i)
{
	const struct registry_entry entry = entry_at(reply, key, i);

	if (old == NULL)
		return;
	if (reply->elements == i + 2 && registry_found_add(old, &entry) < 0)
		registry_found_fini(old);
	old->written = (uint64_t)redis_reply_number(reply, i - 1);
}

static int put(void *self, const char *server, struct seat *seat, int64_t expires_ms, struct registry_found *old)
{
	struct registry_redis *r = registry_of(self);
	struct number expires = number(expires_ms);
	char user[USER_ESCAPED_BYTES];
	const char *args[] = {server, seat->key, user_escaped(&seat->user, user), r->ttl_ms, expires.text, r->events};
	struct redisReply *reply;
	int rc;

	if (old != NULL)
		*old = (struct registry_found){0};
	if ((rc = run(r, &script_connect, &reply, with_events(r, 5), args)) < 0)
		return rc;
	seat->session_id = (uint64_t)redis_reply_number(reply, 1);
	if (redis_reply_says(reply, "late"))
		rc = -ETIMEDOUT;
	else if (redis_reply_says(reply, "later"))
		/* Another comet serves the key, and keeps it for now: if the key moved at once, pushes would reach a comet whose
		 * bucket does not have the connection yet, and be lost. The id is given already, so that this connection counts
		 * as the newer one; the comet renews it once its bucket has it (take_over), which moves the key in one step. */
		rc = 1;
	else if (!redis_reply_says(reply, "ok"))
		/* The comet has lost its lease and does not know it yet; in a moment it will have a new one. */
		rc = -ERR_NO_LOGIC;
	else
		tell_old(old, reply, seat->key, 3);
	freeReplyObject(reply);
	return rc;
}

static int del(void *self, const char *server, const struct seat *seat)
{
	struct registry_redis *r = registry_of(self);
	struct number id = number((int64_t)seat->session_id);
	char user[USER_ESCAPED_BYTES];
	const char *args[] = {server, seat->key, user_escaped(&seat->user, user), id.text, r->events};
	struct redisReply *reply;
	int rc = run(r, &script_disconnect, &reply, with_events(r, 4), args);

	if (rc == 0)
		freeReplyObject(reply);
	return rc;
}

static int renew(void *self, const char *server, const struct seat *seat, struct registry_found *old)
{
	struct registry_redis *r = registry_of(self);
	struct number id = number((int64_t)seat->session_id);
	char user[USER_ESCAPED_BYTES];
	const char *args[] = {server, seat->key, user_escaped(&seat->user, user), id.text, r->ttl_ms, r->events};
	struct redisReply *reply;
	int rc = run(r, &script_renew, &reply, with_events(r, 5), args);

	if (old != NULL)
		*old = (struct registry_found){0};
	if (rc < 0)
		return rc;
	if (redis_reply_says(reply, "newer"))
		rc = -ESTALE;
	else if (redis_reply_says(reply, "no lease"))
		rc = -ERR_NO_LOGIC;
	else
		tell_old(old, reply, seat->key, 2);
	freeReplyObject(reply);
	return rc;
}

static int next_number(void *self, int64_t mid, uint64_t *out)
{
	struct registry_redis *r = registry_of(self);
	struct number mid_text = number(mid);
	const char *args[] = {mid_text.text, r->ttl_ms};
	struct redisReply *reply;
	int rc = run(r, &script_next_number, &reply, 2, args);

	if (rc < 0)
		return rc;
	*out = (uint64_t)redis_reply_number(reply, 0);
	freeReplyObject(reply);
	return 0;
}

/* ---- finding ---- */

static void generation_get(struct registry_redis *r, struct number *out)
{
	lock_take(&r->lock);
	(void)snprintf(out->text, sizeof(out->text), "%s", r->generation);
	lock_drop(&r->lock);
}

/* One chunk of keys or users, `by`: "keys" or "users", of which `before` were looked for already. -ERR_NO_LOGIC also while the registry
 * is not complete. */
static int find_chunk(struct registry_redis *r, const char *by, size_t before, const char *const *what, size_t n,
		      struct registry_found *found)
{
	const char *args[3 + CHUNK] = {NULL, r->lease_ms, by};
	struct redisReply *reply;
	struct number generation;
	int rc;

	generation_get(r, &generation);
	args[0] = generation.text;
	memcpy(args + 3, what, n * sizeof(*what));
	if ((rc = run(r, &script_find, &reply, 3 + n, args)) < 0)
		return rc;
	if (!redis_reply_says(reply, "ok"))
		rc = -ERR_NO_LOGIC;
	for (size_t i = 2; rc == 0 && i + 3 < reply->elements; i += 4) {
		struct registry_entry entry = entry_at(reply, redis_reply_text(reply, i), i + 1);

		entry.of = before + (size_t)redis_reply_number(reply, i + 3) - 1;
		rc = registry_found_add(found, &entry);
	}
	if (rc == 0) {
		lock_take(&r->lock);
		(void)snprintf(r->generation, sizeof(r->generation), "%s", redis_reply_text(reply, 1));
		lock_drop(&r->lock);
	}
	freeReplyObject(reply);
	return rc;
}

static int find_keys(void *self, const char *const *keys, size_t n, struct registry_found *found)
{
	struct registry_redis *r = registry_of(self);
	int rc = 0;

	*found = (struct registry_found){0};
	for (size_t i = 0; rc == 0 && i < n; i += CHUNK)
		rc = find_chunk(r, "keys", i, keys + i, n - i < CHUNK ? n - i : CHUNK, found);
	if (rc < 0)
		registry_found_fini(found);
	return rc;
}

static int find_users_chunk(struct registry_redis *r, const struct user *users, size_t n, size_t before,
			    struct registry_found *found)
{
	char(*texts)[USER_ESCAPED_BYTES] = calloc(n, sizeof(*texts));
	const char *what[CHUNK];
	int rc;

	if (texts == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		what[i] = user_escaped(&users[i], texts[i]);
	rc = find_chunk(r, "users", before, what, n, found);
	free(texts);
	return rc;
}

static int find_users(void *self, const struct user *users, size_t n, struct registry_found *found)
{
	struct registry_redis *r = registry_of(self);
	int rc = 0;

	*found = (struct registry_found){0};
	for (size_t i = 0; rc == 0 && i < n; i += CHUNK)
		rc = find_users_chunk(r, users + i, n - i < CHUNK ? n - i : CHUNK, i, found);
	if (rc < 0)
		registry_found_fini(found);
	return rc;
}

/* ---- comets and their rooms ---- */

static int put_online(void *self, const struct registry_server *server, const struct registry_room *rooms, size_t n)
{
	(void)self;
	(void)server;
	(void)rooms;
	(void)n;
	return 0; /* the comet has written it itself, see above */
}

static int servers(void *self, struct registry_servers *out)
{
	return online_redis_servers(&registry_of(self)->online, out);
}

static int online(void *self, struct registry_rooms *out)
{
	return online_redis_rooms(&registry_of(self)->online, out);
}

static int del_server(void *self, const char *server)
{
	const char *args[] = {server, "", ""};
	struct registry_redis *r = registry_of(self);
	struct redisReply *reply;
	int rc = run(r, &script_remove, &reply, 3, args);

	if (rc == 0)
		freeReplyObject(reply);
	return rc;
}

/* ---- start and end ---- */

int registry_redis_new(const struct config *cfg, struct redis_pipe *pipe, struct registry *out)
{
	int64_t heartbeat =
		cfg->logic_heartbeat > cfg->logic_heartbeat_v1 ? cfg->logic_heartbeat : cfg->logic_heartbeat_v1;
	struct registry_redis *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	if (event_kinds_words(cfg, &r->events) < 0) {
		free(r);
		return -ENOMEM;
	}
	r->magic = REGISTRY_REDIS_MAGIC;
	r->pipe = pipe;
	r->timeout_ns = cfg->redis_timeout * CLOCK_MS;
	(void)snprintf(r->ttl_ms, sizeof(r->ttl_ms), "%lld", (long long)(TTL_MS + HEARTBEATS * heartbeat));
	(void)snprintf(r->lease_ms, sizeof(r->lease_ms), "%lld", (long long)cfg->redis_lease);
	lock_init(&r->lock, LOCK_REGISTRY);
	online_redis_init(&r->online, cfg, pipe);
	*out = (struct registry){
		.put = put,
		.del = del,
		.renew = renew,
		.find_keys = find_keys,
		.find_users = find_users,
		.next_number = next_number,
		.put_online = put_online,
		.online = online,
		.servers = servers,
		.del_server = del_server,
		.self = r,
	};
	return 0;
}

void registry_redis_begin(struct registry *registry, const char *generation)
{
	struct registry_redis *r = registry_of(registry->self);

	lock_take(&r->lock);
	(void)snprintf(r->generation, sizeof(r->generation), "%s", generation);
	lock_drop(&r->lock);
}

void registry_redis_free(struct registry *registry)
{
	struct registry_redis *r = registry_of(registry->self);

	online_redis_fini(&r->online);
	lock_fini(&r->lock);
	free(r->events);
	r->magic = 0;
	free(r);
	*registry = (struct registry){0};
}
