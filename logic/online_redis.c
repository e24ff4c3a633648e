/* online_redis: see online_redis.h. SPDX-License-Identifier: MIT */
#include "logic/online_redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/script.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/strmap.h"
#include "common/redis/redis_name.h"
#include "common/redis/redis_reply.h"

/* Counts of rooms are good for so long, for all comets. */
#define ONLINE_FRESH_NS (500 * CLOCK_MS)
/* And for so long while others are being fetched. */
#define ONLINE_OLD_NS (10 * CLOCK_SEC)

static int to_logic_error(int rc)
{
	return rc == 0 || rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
}

/* ---- comets ---- */

/* Those whose lease was renewed lately, each as an array of its id, fields and values. */
static int fetch_servers(struct online_redis *o, struct redisReply **reply)
{
	return to_logic_error(script_run(o->pipe, &script_servers, clock_now_ns() + o->timeout_ns, reply, "%lld",
					 (long long)o->lease_ms));
}

static const char *field_of(const struct redisReply *lease, const char *name)
{
	for (size_t i = 1; i + 1 < lease->elements; i += 2)
		if (strcmp(redis_reply_text(lease, i), name) == 0)
			return redis_reply_text(lease, i + 1);
	return "";
}

static int server_of(const struct redisReply *lease, struct registry_server *out)
{
	*out = (struct registry_server){
		.id = strdup(redis_reply_text(lease, 0)),
		.region = strdup(field_of(lease, "region")),
		.addrs = strdup(field_of(lease, "addrs")),
		.weight = strtoll(field_of(lease, "weight"), NULL, 10),
		.connections = strtoll(field_of(lease, "connections"), NULL, 10),
		.addresses = strtoll(field_of(lease, "addresses"), NULL, 10),
		.delivered = strtoll(field_of(lease, "delivered"), NULL, 10),
		.dropped = strtoll(field_of(lease, "dropped"), NULL, 10),
		.updated_ms = strtoll(field_of(lease, "updated"), NULL, 10),
		.ports = {.websocket = (uint16_t)strtoul(field_of(lease, "ws_port"), NULL, 10),
			  .websocket_tls = (uint16_t)strtoul(field_of(lease, "wss_port"), NULL, 10)},
		.leaving = strcmp(field_of(lease, "leaving"), "1") == 0,
	};
	return out->id != NULL && out->region != NULL && out->addrs != NULL ? 0 : -ENOMEM;
}

int online_redis_servers(struct online_redis *o, struct registry_servers *out)
{
	struct redisReply *reply;
	int rc = fetch_servers(o, &reply);

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
		if (redis_reply_text(hash, i)[0] != '\0') /* the mark, see cluster/schema.md */
			rc = sums_add(s, redis_reply_text(hash, i), redis_reply_number(hash, i + 1));
	return rc;
}

/* All comets' rooms in one write, one after another into the sums. */
static int fetch_rooms(struct online_redis *o, const struct redisReply *leases, struct sums *sums)
{
	int64_t deadline = clock_now_ns() + o->timeout_ns;
	struct redis_call **calls = calloc(leases->elements + 1, sizeof(struct redis_call *));
	size_t n = 0;
	int rc = 0;

	if (calls == NULL)
		return -ENOMEM;
	for (; rc == 0 && n < leases->elements; n += rc == 0)
		rc = redis_pipe_begin(o->pipe, REDIS_AGAIN, deadline, &calls[n], "HGETALL %s",
				      redis_name_key(o->cfg, "rooms", redis_reply_text(leases->element[n], 0)).text);
	for (size_t i = 0; i < n; i++) {
		struct redisReply *hash = NULL;
		int end = redis_pipe_end(o->pipe, calls[i], &hash);

		if (rc == 0)
			rc = end < 0 ? end : sums_add_hash(sums, hash);
		if (hash != NULL)
			freeReplyObject(hash);
	}
	free(calls);
	return to_logic_error(rc);
}

static int fetch_online(struct online_redis *o, struct registry_rooms *rooms)
{
	struct sums sums = {0};
	struct redisReply *leases;
	int rc = fetch_servers(o, &leases);

	if (rc < 0)
		return rc;
	strmap_init(&sums.places);
	rc = fetch_rooms(o, leases, &sums);
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

/* What there is, where it is good. -EAGAIN: others are to be fetched, and nobody does. Who cannot wait for one who does gets an error: were
 * all to fetch them, a Redis that is slow would be asked for all rooms by every comet at once. */
static int copy_what_is_there_locked(const struct online_redis *o, struct registry_rooms *out) NEEDS(o->lock)
{
	const int64_t age_ns = o->rooms_ns != 0 ? clock_now_ns() - o->rooms_ns : INT64_MAX;

	if (age_ns < (o->fetching ? ONLINE_OLD_NS : ONLINE_FRESH_NS))
		return copy_rooms(&o->rooms, out);
	return o->fetching && (o->rooms_ns != 0 || o->failed) ? -ERR_NO_LOGIC : -EAGAIN;
}

/* Every comet asks once a second for the sums over all comets: one answer serves all that ask at about the same time. */
int online_redis_rooms(struct online_redis *o, struct registry_rooms *out)
{
	struct registry_rooms fresh;
	int rc;

	*out = (struct registry_rooms){0};
	lock_take(&o->lock);
	if ((rc = copy_what_is_there_locked(o, out)) == -EAGAIN)
		o->fetching = true;
	lock_drop(&o->lock);
	if (rc != -EAGAIN)
		return rc;
	rc = fetch_online(o, &fresh);
	if (rc == 0 && (rc = copy_rooms(&fresh, out)) < 0)
		registry_rooms_fini(&fresh);
	lock_take(&o->lock);
	o->fetching = false;
	o->failed = rc < 0;
	if (rc == 0) {
		struct registry_rooms old = o->rooms;

		o->rooms = fresh;
		o->rooms_ns = clock_now_ns();
		fresh = old;
	}
	lock_drop(&o->lock);
	if (rc == 0)
		registry_rooms_fini(&fresh);
	return rc;
}

/* ---- start and end ---- */

void online_redis_init(struct online_redis *o, const struct config *cfg, struct redis_pipe *pipe)
{
	*o = (struct online_redis){
		.cfg = cfg, .pipe = pipe, .timeout_ns = cfg->redis_timeout * CLOCK_MS, .lease_ms = cfg->redis_lease};
	lock_init(&o->lock, LOCK_REGISTRY);
}

void online_redis_fini(struct online_redis *o)
{
	registry_rooms_fini(&o->rooms);
	lock_fini(&o->lock);
}
