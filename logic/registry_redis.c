/* registry_redis: see registry.h. Who is where, in Redis. Any thread; each call is one script, or a few in one write.
 *
 * A session counts only while its comet's lease stands, with the epoch under which the session was made: what a comet left
 * that died is dead at once when the lease is removed or taken over, and its sessions go by their time to live. Comets
 * write their leases and room counts themselves (logic_client/redis_lease.c), so that these outlive all logics.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/strmap.h"
#include "common/config/config.h"
#include "common/redis/redis_pipe.h"
#include "logic/lua.h"
#include "logic/registry.h"

/* How long counts of rooms are good for everybody who asks. */
#define ONLINE_FRESH_NS (500 * CLOCK_MS)
/* Keys and users asked for in one script: Redis does nothing else meanwhile. */
#define CHUNK 256
/* A session is renewed at every heartbeat; so many may be lost before it is. */
#define HEARTBEATS 3

struct registry_redis {
	unsigned magic;
#define REGISTRY_REDIS_MAGIC 0x4e615000
	/* set once */
	struct redis_pipe *pipe;
	int64_t timeout_ns;
	char ttl_ms[24]; /* of a session */
	char lease_ms[24];
	/* under lock */
	struct lock lock;
	char generation[24]; /* of Redis's data, as last seen */
	struct registry_rooms rooms;
	int64_t rooms_ns; /* when they were fetched; 0: never */
	bool fetching;
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

/* Run a script with these arguments. 0 and an array of strings, or -ENOMEM, -ERR_NO_LOGIC. */
static int eval(struct registry_redis *r, struct redisReply **reply, const char *script, size_t n, const char **args)
{
	const char *argv[3 + CHUNK + 8] = {"EVAL", script, "0"};
	int rc;

	BUG_UNLESS(3 + n <= sizeof(argv) / sizeof(argv[0]));
	memcpy(argv + 3, args, n * sizeof(*args));
	/* Every one of the scripts may run twice: what it would change then is what it has changed already. */
	rc = redis_pipe_callv(r->pipe, REDIS_AGAIN, clock_now_ns() + r->timeout_ns, reply, 3 + (int)n, argv, NULL);
	return to_logic_error(rc);
}

/* The text of element i of an array, or "". */
static const char *text_at(const struct redisReply *reply, size_t i)
{
	if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements || reply->element[i]->str == NULL)
		return "";
	return reply->element[i]->str;
}

static uint64_t number_at(const struct redisReply *reply, size_t i)
{
	return strtoull(text_at(reply, i), NULL, 10);
}

static bool says(const struct redisReply *reply, const char *word)
{
	return strcmp(text_at(reply, 0), word) == 0;
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

/* ---- lists of registrations ---- */

static int found_add(struct registry_found *found, const char *key, const char *server, uint64_t id)
{
	struct registry_entry *more = reallocarray(found->entries, found->n + 1, sizeof(*more));

	if (more == NULL)
		return -ENOMEM;
	found->entries = more;
	more[found->n] = (struct registry_entry){strdup(key), strdup(server), id};
	found->n++;
	return more[found->n - 1].key != NULL && more[found->n - 1].server != NULL ? 0 : -ENOMEM;
}

/* The registration that was replaced. Without memory for it nobody is told, which is no reason to take back what is done: the
 * replaced connection's heartbeat ends it. */
static void tell_old(struct registry_found *old, const char *key, const char *server, uint64_t id)
{
	if (found_add(old, key, server, id) < 0)
		registry_found_fini(old);
}

/* ---- one registration ---- */

static int put(void *self, const char *server, struct seat *seat, int64_t expires_ms, struct registry_found *old)
{
	static const char script[] = LUA_NOW LUA_NEW_ID LUA_SESSION
		"local server, key, mid, ttl, expires = unpack(ARGV) "
		"if tonumber(expires) > 0 and now > tonumber(expires) then return {'late'} end "
		"local epoch = redis.call('HGET', 'comet:server:' .. server, 'epoch') "
		"if not epoch then return {'no lease'} end "
		"local was, was_mid, was_epoch, was_server = session(key) "
		"local id = new_id() "
		/* Where it comes from it is still served: `renew` moves it, once the new comet can take what is pushed. */
		"if was and was_server ~= server and valid(was_epoch, was_server) then return {'later', id} end "
		"redis.call('SET', 'comet:session:' .. key, id .. ' ' .. mid .. ' ' .. epoch .. ' ' .. server, 'PX', "
		"ttl) "
		"if was and was_mid ~= mid then redis.call('SREM', 'comet:mid:' .. was_mid, key) end "
		"if tonumber(mid) > 0 then "
		"  redis.call('SADD', 'comet:mid:' .. mid, key) "
		"  redis.call('PEXPIRE', 'comet:mid:' .. mid, ttl) "
		"end "
		"if was and valid(was_epoch, was_server) then return {'ok', id, was_server, was} end "
		"return {'ok', id}";
	struct registry_redis *r = registry_of(self);
	struct number mid_text = number(seat->mid), expires = number(expires_ms);
	const char *args[] = {server, seat->key, mid_text.text, r->ttl_ms, expires.text};
	struct redisReply *reply;
	int rc;

	if (old != NULL)
		*old = (struct registry_found){0};
	if ((rc = eval(r, &reply, script, 5, args)) < 0)
		return rc;
	seat->session_id = number_at(reply, 1);
	if (says(reply, "late"))
		rc = -ETIMEDOUT;
	else if (says(reply, "later"))
		rc = 1;
	else if (!says(reply, "ok"))
		/* The comet has lost its lease and does not know it yet; in a moment it will have a new one. */
		rc = -ERR_NO_LOGIC;
	else if (reply->elements == 4 && old != NULL)
		tell_old(old, seat->key, text_at(reply, 2), number_at(reply, 3));
	freeReplyObject(reply);
	return rc;
}

static int del(void *self, const char *server, const struct seat *seat)
{
	/* A renewal may overtake the disconnect that it was sent before. So what is deleted leaves a mark for a moment, by
	 * which `renew` knows that it comes too late; one of its own where another comet still has the key. */
	static const char script[] = LUA_SESSION
		"local server, key, mid, id = unpack(ARGV) "
		"local was, _, was_epoch, was_server = session(key) "
		"if was and tonumber(was) > tonumber(id) then return {'newer'} end "
		"if was and was ~= id and was_server ~= server and valid(was_epoch, was_server) then "
		"  redis.call('SET', 'comet:left:' .. key, id, 'PX', 10000) "
		"  return {'ok'} "
		"end "
		"redis.call('SET', 'comet:session:' .. key, id .. ' ' .. mid .. ' 0 ' .. server, 'PX', 10000) "
		"redis.call('SREM', 'comet:mid:' .. mid, key) "
		"return {'ok'}";
	struct registry_redis *r = registry_of(self);
	struct number mid_text = number(seat->mid), id = number((int64_t)seat->session_id);
	const char *args[] = {server, seat->key, mid_text.text, id.text};
	struct redisReply *reply;
	int rc = eval(r, &reply, script, 4, args);

	if (rc == 0)
		freeReplyObject(reply);
	return rc;
}

static int renew(void *self, const char *server, const struct seat *seat, struct registry_found *old)
{
	static const char script[] = LUA_SESSION
		"local server, key, mid, id, ttl = unpack(ARGV) "
		"local epoch = redis.call('HGET', 'comet:server:' .. server, 'epoch') "
		"if not epoch then return {'no lease'} end "
		"local was, was_mid, was_epoch, was_server = session(key) "
		"if was and tonumber(was) >= tonumber(id) and was_epoch == '0' then return {'gone'} end "
		"if was and tonumber(was) > tonumber(id) and valid(was_epoch, was_server) then return {'newer'} end "
		"local left = redis.call('GET', 'comet:left:' .. key) "
		"if left and tonumber(left) >= tonumber(id) then return {'gone'} end "
		"redis.call('SET', 'comet:session:' .. key, id .. ' ' .. mid .. ' ' .. epoch .. ' ' .. server, 'PX', "
		"ttl) "
		"if was and was_mid ~= mid then redis.call('SREM', 'comet:mid:' .. was_mid, key) end "
		"if tonumber(mid) > 0 then "
		"  redis.call('SADD', 'comet:mid:' .. mid, key) "
		"  redis.call('PEXPIRE', 'comet:mid:' .. mid, ttl) "
		"end "
		"if was and was ~= id and was_server ~= server and valid(was_epoch, was_server) then "
		"  return {'ok', was_server, was} "
		"end "
		"return {'ok'}";
	struct registry_redis *r = registry_of(self);
	struct number mid_text = number(seat->mid), id = number((int64_t)seat->session_id);
	const char *args[] = {server, seat->key, mid_text.text, id.text, r->ttl_ms};
	struct redisReply *reply;
	int rc = eval(r, &reply, script, 5, args);

	if (old != NULL)
		*old = (struct registry_found){0};
	if (rc < 0)
		return rc;
	if (says(reply, "newer"))
		rc = -ESTALE;
	else if (reply->elements == 3 && old != NULL)
		tell_old(old, seat->key, text_at(reply, 1), number_at(reply, 2));
	else if (says(reply, "no lease"))
		rc = -ERR_NO_LOGIC;
	freeReplyObject(reply);
	return rc;
}

static int next_number(void *self, int64_t mid, uint64_t *out)
{
	/* The count is forgotten a while after the last connection came; numbers still in use are stepped over. */
	static const char script[] = "local n "
				     "repeat n = redis.call('INCR', 'comet:number:' .. ARGV[1]) "
				     "until redis.call('EXISTS', 'comet:session:' .. ARGV[1] .. '_' .. n) == 0 "
				     "redis.call('PEXPIRE', 'comet:number:' .. ARGV[1], ARGV[2]) "
				     "return {tostring(n)}";
	struct registry_redis *r = registry_of(self);
	struct number mid_text = number(mid);
	const char *args[] = {mid_text.text, r->ttl_ms};
	struct redisReply *reply;
	int rc = eval(r, &reply, script, 2, args);

	if (rc < 0)
		return rc;
	*out = number_at(reply, 0);
	freeReplyObject(reply);
	return 0;
}

/* ---- finding ---- */

/* Where nothing is found while a comet registers its connections again, or should, "nobody" would be a lie. */
#define LUA_FIND                                                                                                       \
	LUA_NOW LUA_SESSION LUA_GENERATION                                                                             \
		"local found = {'ok', generation} "                                                                    \
		"local missing = false "                                                                               \
		"local function look(key, mid) "                                                                       \
		"  local id, its_mid, epoch, server = session(key) "                                                   \
		"  if not id then missing = true return false end "                                                    \
		"  if mid and its_mid ~= mid then return false end "                                                   \
		"  if valid(epoch, server) then "                                                                      \
		"    found[#found + 1] = key found[#found + 1] = server found[#found + 1] = id "                       \
		"  end "                                                                                               \
		"  return epoch ~= '0' "                                                                               \
		"end "                                                                                                 \
		"local function sure() "                                                                               \
		"  if not missing then return true end "                                                               \
		"  if young(ARGV[1], ARGV[2]) then return false end "                                                  \
		"  for _, s in ipairs(redis.call('SMEMBERS', 'comet:servers')) do "                                    \
		"    if redis.call('HGET', 'comet:server:' .. s, 'registering') == '1' then return false end "         \
		"  end "                                                                                               \
		"  return true "                                                                                       \
		"end "

static void generation_get(struct registry_redis *r, struct number *out)
{
	lock_take(&r->lock);
	(void)snprintf(out->text, sizeof(out->text), "%s", r->generation);
	lock_drop(&r->lock);
}

/* One chunk of keys or users. -ERR_NO_LOGIC also while nobody can be sure who is online. */
static int find_chunk(struct registry_redis *r, const char *script, const char *const *what, size_t n,
		      struct registry_found *found)
{
	const char *args[2 + CHUNK];
	struct redisReply *reply;
	struct number generation;
	int rc;

	generation_get(r, &generation);
	args[0] = generation.text;
	args[1] = r->lease_ms;
	memcpy(args + 2, what, n * sizeof(*what));
	if ((rc = eval(r, &reply, script, 2 + n, args)) < 0)
		return rc;
	if (!says(reply, "ok"))
		rc = -ERR_NO_LOGIC;
	for (size_t i = 2; rc == 0 && i + 2 < reply->elements; i += 3)
		rc = found_add(found, text_at(reply, i), text_at(reply, i + 1), number_at(reply, i + 2));
	if (rc == 0) {
		lock_take(&r->lock);
		(void)snprintf(r->generation, sizeof(r->generation), "%s", text_at(reply, 1));
		lock_drop(&r->lock);
	}
	freeReplyObject(reply);
	return rc;
}

static int find_keys(void *self, const char *const *keys, size_t n, struct registry_found *found)
{
	static const char script[] = LUA_FIND "for i = 3, #ARGV do look(ARGV[i]) end "
					      "if not sure() then return {'unsure'} end "
					      "return found";
	struct registry_redis *r = registry_of(self);
	int rc = 0;

	*found = (struct registry_found){0};
	for (size_t i = 0; rc == 0 && i < n; i += CHUNK)
		rc = find_chunk(r, script, keys + i, n - i < CHUNK ? n - i : CHUNK, found);
	if (rc < 0)
		registry_found_fini(found);
	return rc;
}

static int find_mids(void *self, const int64_t *mids, size_t n, struct registry_found *found)
{
	static const char script[] =
		LUA_FIND "for i = 3, #ARGV do "
			 "  local keys = redis.call('SMEMBERS', 'comet:mid:' .. ARGV[i]) "
			 "  if #keys == 0 then missing = true end "
			 "  for _, key in ipairs(keys) do "
			 "    if not look(key, ARGV[i]) then redis.call('SREM', 'comet:mid:' .. ARGV[i], key) end "
			 "  end "
			 "end "
			 "if not sure() then return {'unsure'} end "
			 "return found";
	struct registry_redis *r = registry_of(self);
	struct number texts[CHUNK];
	const char *what[CHUNK];
	int rc = 0;

	*found = (struct registry_found){0};
	for (size_t i = 0; rc == 0 && i < n; i += CHUNK) {
		size_t chunk = n - i < CHUNK ? n - i : CHUNK;

		for (size_t k = 0; k < chunk; k++) {
			texts[k] = number(mids[i + k]);
			what[k] = texts[k].text;
		}
		rc = find_chunk(r, script, what, chunk, found);
	}
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

/* Those whose lease was renewed lately, each as an array of its id, fields and values. */
static int fetch_servers(struct registry_redis *r, struct redisReply **reply)
{
	static const char script[] =
		LUA_NOW "local all = {} "
			"for _, server in ipairs(redis.call('SMEMBERS', 'comet:servers')) do "
			"  local lease = redis.call('HGETALL', 'comet:server:' .. server) "
			"  local updated = redis.call('HGET', 'comet:server:' .. server, 'updated') "
			"  if updated and now - tonumber(updated) <= tonumber(ARGV[1]) then "
			"    table.insert(lease, 1, server) "
			"    all[#all + 1] = lease "
			"  end "
			"end "
			"return all";
	const char *args[] = {r->lease_ms};

	return eval(r, reply, script, 1, args);
}

static const char *field_of(const struct redisReply *lease, const char *name)
{
	for (size_t i = 1; i + 1 < lease->elements; i += 2)
		if (strcmp(text_at(lease, i), name) == 0)
			return text_at(lease, i + 1);
	return "";
}

static int server_of(const struct redisReply *lease, struct registry_server *out)
{
	*out = (struct registry_server){
		.id = strdup(text_at(lease, 0)),
		.region = strdup(field_of(lease, "region")),
		.addrs = strdup(field_of(lease, "addrs")),
		.weight = strtoll(field_of(lease, "weight"), NULL, 10),
		.connections = strtoll(field_of(lease, "connections"), NULL, 10),
		.addresses = strtoll(field_of(lease, "addresses"), NULL, 10),
		.delivered = strtoll(field_of(lease, "delivered"), NULL, 10),
		.dropped = strtoll(field_of(lease, "dropped"), NULL, 10),
		.updated_ms = strtoll(field_of(lease, "updated"), NULL, 10),
		.leaving = strcmp(field_of(lease, "leaving"), "1") == 0,
	};
	return out->id != NULL && out->region != NULL && out->addrs != NULL ? 0 : -ENOMEM;
}

static int servers(void *self, struct registry_servers *out)
{
	struct registry_redis *r = registry_of(self);
	struct redisReply *reply;
	int rc = fetch_servers(r, &reply);

	*out = (struct registry_servers){0};
	if (rc < 0)
		return rc;
	out->servers = calloc(reply->elements + 1, sizeof(*out->servers));
	if (out->servers == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < reply->elements; i++)
		rc = server_of(reply->element[i], &out->servers[out->n++]);
	freeReplyObject(reply);
	if (rc < 0)
		registry_servers_fini(out);
	return rc;
}

static int del_server(void *self, const char *server)
{
	static const char script[] =
		"redis.call('DEL', 'comet:server:' .. ARGV[1], 'comet:rooms:' .. ARGV[1], 'comet:push:' .. ARGV[1]) "
		"redis.call('SREM', 'comet:servers', ARGV[1]) "
		"return {'ok'}";
	struct registry_redis *r = registry_of(self);
	struct redisReply *reply;
	int rc = eval(r, &reply, script, 1, &server);

	if (rc == 0)
		freeReplyObject(reply);
	return rc;
}

/* ---- room counts ---- */

/* Sums under way: the list, and where each room stands in it. */
struct sums {
	struct registry_rooms rooms;
	size_t room_for;
	struct strmap places; /* room -> 1 + index */
};

static int sums_add(struct sums *s, const char *room, int64_t count)
{
	uintptr_t place = (uintptr_t)strmap_get(&s->places, room);

	if (place > 0) {
		s->rooms.rooms[place - 1].count += count;
		return 0;
	}
	if (s->rooms.n == s->room_for) {
		size_t want = s->room_for > 0 ? s->room_for * 2 : 64;
		struct registry_room *more = reallocarray(s->rooms.rooms, want, sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		s->rooms.rooms = more;
		s->room_for = want;
	}
	s->rooms.rooms[s->rooms.n] = (struct registry_room){strdup(room), count};
	if (s->rooms.rooms[s->rooms.n].room == NULL)
		return -ENOMEM;
	s->rooms.n++;
	return strmap_put(&s->places, room, (void *)(uintptr_t)s->rooms.n, NULL);
}

static int sums_add_hash(struct sums *s, const struct redisReply *hash)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && hash->type == REDIS_REPLY_ARRAY && i + 1 < hash->elements; i += 2)
		rc = sums_add(s, text_at(hash, i), strtoll(text_at(hash, i + 1), NULL, 10));
	return rc;
}

/* All comets' rooms in one write, one after another into the sums. */
static int fetch_rooms(struct registry_redis *r, const struct redisReply *leases, struct sums *sums)
{
	int64_t deadline = clock_now_ns() + r->timeout_ns;
	struct redis_call **calls = calloc(leases->elements + 1, sizeof(struct redis_call *));
	size_t n = 0;
	int rc = 0;

	if (calls == NULL)
		return -ENOMEM;
	for (; rc == 0 && n < leases->elements; n += rc == 0)
		rc = redis_pipe_begin(r->pipe, REDIS_AGAIN, deadline, &calls[n], "HGETALL comet:rooms:%s",
				      text_at(leases->element[n], 0));
	for (size_t i = 0; i < n; i++) {
		struct redisReply *hash = NULL;
		int end = redis_pipe_end(r->pipe, calls[i], &hash);

		if (rc == 0)
			rc = end < 0 ? end : sums_add_hash(sums, hash);
		if (hash != NULL)
			freeReplyObject(hash);
	}
	free(calls);
	return to_logic_error(rc);
}

static int fetch_online(struct registry_redis *r, struct registry_rooms *rooms)
{
	struct sums sums = {0};
	struct redisReply *leases;
	int rc = fetch_servers(r, &leases);

	if (rc < 0)
		return rc;
	strmap_init(&sums.places);
	rc = fetch_rooms(r, leases, &sums);
	strmap_fini(&sums.places);
	freeReplyObject(leases);
	if (rc < 0)
		registry_rooms_fini(&sums.rooms);
	else
		*rooms = sums.rooms;
	return rc;
}

static int copy_rooms(const struct registry_rooms *from, struct registry_rooms *to)
{
	*to = (struct registry_rooms){.rooms = calloc(from->n + 1, sizeof(*to->rooms))};
	if (to->rooms == NULL)
		return -ENOMEM;
	for (; to->n < from->n; to->n++) {
		to->rooms[to->n] = (struct registry_room){strdup(from->rooms[to->n].room), from->rooms[to->n].count};
		if (to->rooms[to->n].room == NULL) {
			registry_rooms_fini(to);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Every comet asks once a second, every one of them for sums over all: one answer serves all who ask at about the time. */
static int online(void *self, struct registry_rooms *out)
{
	struct registry_redis *r = registry_of(self);
	struct registry_rooms fresh;
	int64_t now = clock_now_ns();
	int rc;

	lock_take(&r->lock);
	if (r->rooms_ns != 0 && (now - r->rooms_ns < ONLINE_FRESH_NS ||
				 (r->fetching && now - r->rooms_ns < ONLINE_FRESH_NS + r->timeout_ns))) {
		rc = copy_rooms(&r->rooms, out);
		lock_drop(&r->lock);
		return rc;
	}
	r->fetching = true;
	lock_drop(&r->lock);

	*out = (struct registry_rooms){0};
	rc = fetch_online(r, &fresh);
	if (rc == 0 && (rc = copy_rooms(&fresh, out)) < 0)
		registry_rooms_fini(&fresh);
	lock_take(&r->lock);
	r->fetching = false;
	if (rc == 0) {
		struct registry_rooms old = r->rooms;

		r->rooms = fresh;
		r->rooms_ns = clock_now_ns();
		fresh = old;
	}
	lock_drop(&r->lock);
	if (rc == 0)
		registry_rooms_fini(&fresh);
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
	r->magic = REGISTRY_REDIS_MAGIC;
	r->pipe = pipe;
	r->timeout_ns = cfg->redis_timeout * CLOCK_MS;
	/* Clients may beat faster than asked; comets tell of it once a minute at the most. */
	(void)snprintf(r->ttl_ms, sizeof(r->ttl_ms), "%lld", (long long)(HEARTBEATS * heartbeat + 180000));
	(void)snprintf(r->lease_ms, sizeof(r->lease_ms), "%lld", (long long)cfg->redis_lease);
	lock_init(&r->lock, LOCK_REGISTRY);
	*out = (struct registry){
		.put = put,
		.del = del,
		.renew = renew,
		.find_keys = find_keys,
		.find_mids = find_mids,
		.next_number = next_number,
		.put_online = put_online,
		.online = online,
		.servers = servers,
		.del_server = del_server,
		.self = r,
	};
	return 0;
}

void registry_redis_free(struct registry *registry)
{
	struct registry_redis *r = registry_of(registry->self);

	registry_rooms_fini(&r->rooms);
	lock_fini(&r->lock);
	r->magic = 0;
	free(r);
	*registry = (struct registry){0};
}
