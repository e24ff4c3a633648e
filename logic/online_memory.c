/* online_memory: see online_memory.h. SPDX-License-Identifier: MIT */
#include "logic/online_memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct server {
	struct registry_server told;
	struct strmap rooms; /* room -> count, in the pointer */
};

static void server_free(void *value)
{
	struct server *server = value;

	if (server == NULL)
		return;
	free(server->told.id);
	free(server->told.region);
	free(server->told.addrs);
	strmap_fini(&server->rooms);
	free(server);
}

static int copy_server(const struct registry_server *from, struct registry_server *to)
{
	*to = *from;
	to->id = strdup(from->id);
	to->region = strdup(from->region != NULL ? from->region : "");
	to->addrs = strdup(from->addrs != NULL ? from->addrs : "");
	return to->id != NULL && to->region != NULL && to->addrs != NULL ? 0 : -ENOMEM;
}

static struct server *server_new(const struct registry_server *told, const struct registry_room *rooms, size_t n)
{
	struct server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		return NULL;
	if (copy_server(told, &server->told) < 0)
		goto free_server;
	for (size_t i = 0; i < n; i++)
		if (rooms[i].count > 0 &&
		    strmap_put(&server->rooms, rooms[i].room, (void *)(intptr_t)rooms[i].count, NULL) < 0)
			goto free_server;
	return server;

free_server:
	server_free(server);
	return NULL;
}

int online_memory_put(struct online_memory *o, const struct registry_server *told, const struct registry_room *rooms,
		      size_t n)
{
	struct server *server = server_new(told, rooms, n);
	void *old = NULL;
	int rc;

	if (server == NULL)
		return -ENOMEM;
	lock_take(&o->lock);
	rc = strmap_put(&o->servers, told->id, server, &old);
	lock_drop(&o->lock);
	server_free(rc == 0 ? old : server);
	return rc;
}

/* Add the rooms of one server to the sums. */
static int sum_rooms(const struct server *server, struct strmap *sums)
{
	struct strmap_cursor cursor = {0};
	const char *room;
	void *n;
	int rc = 0;

	while (rc == 0 && strmap_next(&server->rooms, &cursor, &room, &n)) {
		intptr_t sum = (intptr_t)strmap_get(sums, room) + (intptr_t)n;

		rc = strmap_put(sums, room, (void *)sum, NULL);
	}
	return rc;
}

static int list_rooms(const struct strmap *sums, struct registry_rooms *rooms)
{
	struct strmap_cursor cursor = {0};
	const char *room;
	void *n;

	if ((rooms->rooms = calloc(sums->count + 1, sizeof(*rooms->rooms))) == NULL)
		return -ENOMEM;
	while (strmap_next(sums, &cursor, &room, &n)) {
		struct registry_room *to = &rooms->rooms[rooms->n];

		if ((to->room = strdup(room)) == NULL)
			return -ENOMEM;
		to->count = (intptr_t)n;
		rooms->n++;
	}
	return 0;
}

int online_memory_rooms(struct online_memory *o, struct registry_rooms *rooms)
{
	struct strmap_cursor cursor = {0};
	struct strmap sums;
	const char *id;
	void *server;
	int rc = 0;

	*rooms = (struct registry_rooms){0};
	strmap_init(&sums);
	lock_take(&o->lock);
	while (rc == 0 && strmap_next(&o->servers, &cursor, &id, &server))
		rc = sum_rooms(server, &sums);
	lock_drop(&o->lock);
	if (rc == 0)
		rc = list_rooms(&sums, rooms);
	strmap_fini(&sums);
	if (rc < 0)
		registry_rooms_fini(rooms);
	return rc;
}

int online_memory_servers(struct online_memory *o, struct registry_servers *list)
{
	struct strmap_cursor cursor = {0};
	const char *id;
	void *server;
	int rc = 0;

	*list = (struct registry_servers){0};
	lock_take(&o->lock);
	if ((list->servers = calloc(o->servers.count + 1, sizeof(*list->servers))) == NULL)
		rc = -ENOMEM;
	while (rc == 0 && strmap_next(&o->servers, &cursor, &id, &server))
		rc = copy_server(&((struct server *)server)->told, &list->servers[list->n++]);
	lock_drop(&o->lock);
	if (rc < 0)
		registry_servers_fini(list);
	return rc;
}

void online_memory_del(struct online_memory *o, const char *server)
{
	void *gone;

	lock_take(&o->lock);
	gone = strmap_del(&o->servers, server);
	lock_drop(&o->lock);
	server_free(gone);
}

void online_memory_init(struct online_memory *o)
{
	*o = (struct online_memory){0};
	lock_init(&o->lock, LOCK_REGISTRY);
	strmap_init(&o->servers);
}

void online_memory_fini(struct online_memory *o)
{
	strmap_drop_all(&o->servers, server_free);
	lock_fini(&o->lock);
}
