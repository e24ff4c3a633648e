/* registry: where each connection is. User -> keys, key -> (server, session id). An interface with two memories.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_REGISTRY_H
#define LOGIC_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/client_ports.h"
#include "common/wire/seat.h"

struct registry_entry {
	char *key;
	char *server;
	uint64_t session_id;
	size_t of; /* of a search: the place, among the names that were looked for, of the one that it was found by */
};

/* A list that the caller frees with registry_found_fini. */
struct registry_found {
	struct registry_entry *entries;
	size_t n;
	uint64_t
		written; /* of put and renew over Redis: the number of what was written, or 0 (cluster/schema.md, A loss) */
};
void registry_found_fini(struct registry_found *found);
/* Add a copy. 0; -ENOMEM: fini the list. */
int registry_found_add(struct registry_found *found, const struct registry_entry *entry);

struct registry_room {
	char *room;
	int64_t count;
};
struct registry_rooms {
	struct registry_room *rooms;
	size_t n;
};
void registry_rooms_fini(struct registry_rooms *rooms);
/* Most people first, equal ones by name. */
void registry_rooms_sort(struct registry_rooms *rooms);

struct registry_server {
	char *id;
	char *region;
	char *addrs; /* comma separated host names or addresses */
	int64_t weight;
	int64_t connections;
	int64_t addresses; /* distinct client addresses */
	int64_t delivered; /* messages written to its clients, and dropped, since it started */
	int64_t dropped;
	int64_t updated_ms; /* wall time */
	struct client_ports
		ports; /* where its doors are; its TCP port is among addrs. 0: it has none, or does not say */
	bool leaving;  /* it sends its clients away: no new clients are to go there */
};
struct registry_servers {
	struct registry_server *servers;
	size_t n;
};
void registry_servers_fini(struct registry_servers *servers);

/* All calls: any thread, no lock of the caller's held; 0, -ENOMEM, or -ERR_NO_LOGIC without Redis. After an error the lists
 * are empty: there is nothing to free, and it does no harm. */
struct registry {
	/* Register a seat on server; its session_id is filled in, larger than any given before for this key. *old (may be
	 * NULL) gets the registration replaced, n = 0 or 1; over Redis also 0 where there was no memory for it. After expires_ms
	 * (0: never) on the registry's clock nothing is registered any more: -ETIMEDOUT. After any error nothing is, as far as
	 * anybody can know.
	 * 1: another comet has the key. It keeps it, and pushes go there, until this registration is renewed: by then this
	 * comet can take them. */
	int (*put)(void *self, const char *server, struct seat *seat, int64_t expires_ms, struct registry_found *old);
	/* Forget the key, but only if it still has this registration. 0 also when it did not. */
	int (*del)(void *self, const char *server, const struct seat *seat);
	/* Keep it alive, and register it if it is not there: it was lost, or put has said 1. *old (may be NULL) gets what it
	 * replaced on another comet, n = 0 or 1. -ESTALE: a newer registration of the key is there. */
	int (*renew)(void *self, const char *server, const struct seat *seat, struct registry_found *old);
	int (*find_keys)(void *self, const char *const *keys, size_t n, struct registry_found *found);
	int (*find_users)(void *self, const struct user *users, size_t n, struct registry_found *found);
	/* For v1 keys `<uid>_<n>`: counts up, and no connection of this user had it before. */
	int (*next_number)(void *self, int64_t mid, uint64_t *number);
	/* A comet's room counts and load; replaces its last ones. */
	int (*put_online)(void *self, const struct registry_server *server, const struct registry_room *rooms,
			  size_t n);
	/* Counts over all live comets. */
	int (*online)(void *self, struct registry_rooms *rooms);
	int (*servers)(void *self, struct registry_servers *servers);
	/* Forget all registrations of a server that died. */
	int (*del_server)(void *self, const char *server);
	void *self;
};

/* How the calls are written. */
static inline int registry_put(const struct registry *r, const char *server, struct seat *seat, int64_t expires_ms,
			       struct registry_found *old)
{
	return r->put(r->self, server, seat, expires_ms, old);
}

static inline int registry_del(const struct registry *r, const char *server, const struct seat *seat)
{
	return r->del(r->self, server, seat);
}

static inline int registry_renew(const struct registry *r, const char *server, const struct seat *seat,
				 struct registry_found *old)
{
	return r->renew(r->self, server, seat, old);
}

static inline int registry_find_keys(const struct registry *r, const char *const *keys, size_t n,
				     struct registry_found *found)
{
	return r->find_keys(r->self, keys, n, found);
}

static inline int registry_find_users(const struct registry *r, const struct user *users, size_t n,
				      struct registry_found *found)
{
	return r->find_users(r->self, users, n, found);
}

static inline int registry_next_number(const struct registry *r, int64_t mid, uint64_t *number)
{
	return r->next_number(r->self, mid, number);
}

static inline int registry_put_online(const struct registry *r, const struct registry_server *server,
				      const struct registry_room *rooms, size_t n)
{
	return r->put_online(r->self, server, rooms, n);
}

static inline int registry_online(const struct registry *r, struct registry_rooms *rooms)
{
	return r->online(r->self, rooms);
}

static inline int registry_servers(const struct registry *r, struct registry_servers *servers)
{
	return r->servers(r->self, servers);
}

static inline int registry_del_server(const struct registry *r, const char *server)
{
	return r->del_server(r->self, server);
}

/* The memory of a program that runs alone. 0 or -ENOMEM. */
int registry_memory_new(struct registry *out);
/* Before the first call: whom it tells of who comes and goes. They outlive it. */
struct tidings;
void registry_memory_tell(struct registry *r, const struct tidings *tidings);
void registry_memory_free(struct registry *r);

/* The memory of a cluster, in Redis; every call goes over the pipe, which outlives it. 0 or -ENOMEM. */
struct redis_pipe;
struct config;
int registry_redis_new(const struct config *cfg, struct redis_pipe *pipe, struct registry *out);
/* Before the first call: the generation of the data, as schema_check says. One that differs by then means a loss. */
void registry_redis_begin(struct registry *r, const char *generation);
void registry_redis_free(struct registry *r);

#endif
