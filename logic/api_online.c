/* api_online: /goim/online/: how many are in which rooms. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "common/http/http_guard.h"
#include "logic/api_v2.h"

static json_t *list_top(const struct api_call *call, const struct registry_rooms *rooms, const char *type, size_t limit)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rooms->n && json_array_size(list) < limit; i++) {
		const char *room = rooms->rooms[i].room, *id = strstr(room, "://");

		if (strncmp(room, type, strlen(type)) != 0 || id == NULL ||
		    !http_key_may_room(&call->request->key, room))
			continue;
		(void)json_array_append_new(
			list, json_pack("{s:s,s:I}", "room_id", id + 3, "count", (json_int_t)rooms->rooms[i].count));
	}
	return list;
}

void api_online_top(struct api_call *call)
{
	const char *type = api_v2_read_type(call);
	struct registry_rooms rooms;
	long long limit;
	int rc;

	if (type == NULL)
		return;
	if (!api_read_number(http_param(call->request, "limit"), 1, INT32_MAX, &limit)) {
		api_v2_reply_bad(call, "limit must be a whole number above 0");
		return;
	}
	if ((rc = registry_online(&call->logic->registry, &rooms)) < 0) {
		api_v2_reply_result(call, rc);
		return;
	}
	registry_rooms_sort(&rooms);
	api_v2_reply_data(call, list_top(call, &rooms, type, (size_t)limit));
	registry_rooms_fini(&rooms);
}

/* Both lists may be long: each is walked once. */
static json_t *list_rooms(const struct registry_rooms *all, const char *type, const char **rooms, size_t n)
{
	const size_t type_bytes = strlen(type);
	json_t *counts = json_object();

	for (size_t i = 0; i < n; i++)
		(void)json_object_set_new(counts, rooms[i], json_integer(0));
	for (size_t i = 0; i < all->n; i++) {
		const char *room = all->rooms[i].room, *id = room + type_bytes + 3;

		if (strncmp(room, type, type_bytes) == 0 && strncmp(room + type_bytes, "://", 3) == 0 &&
		    json_object_get(counts, id) != NULL)
			(void)json_object_set_new(counts, id, json_integer((json_int_t)all->rooms[i].count));
	}
	return counts;
}

/* False: the caller was told. */
static bool may_rooms(struct api_call *call, const char *type, const char **rooms, size_t n)
{
	char key[WIRE_ROOM_BYTES];

	for (size_t i = 0; i < n; i++)
		if (api_v2_room_key(type, rooms[i], key) && !http_guard_may_room(call->request, key, call->reply))
			return false;
	return true;
}

void api_online_room(struct api_call *call)
{
	const char *type = api_v2_read_type(call);
	struct registry_rooms all;
	const char **rooms;
	size_t n;
	int rc;

	if (type == NULL)
		return;
	rc = api_read_list(call->request, "rooms", &rooms, &n);
	if (api_v2_list_is_good(call, rc, n, "rooms is missing") && may_rooms(call, type, rooms, n)) {
		rc = registry_online(&call->logic->registry, &all);
		if (rc < 0) {
			api_v2_reply_result(call, rc);
		} else {
			api_v2_reply_data(call, list_rooms(&all, type, rooms, n));
			registry_rooms_fini(&all);
		}
	}
	free(rooms);
}

void api_online_total(struct api_call *call)
{
	struct registry_servers servers;
	json_int_t connections = 0, addresses = 0;
	int rc = registry_servers(&call->logic->registry, &servers);

	if (rc < 0) {
		api_v2_reply_result(call, rc);
		return;
	}
	for (size_t i = 0; i < servers.n; i++) {
		connections += servers.servers[i].connections;
		addresses += servers.servers[i].addresses;
	}
	registry_servers_fini(&servers);
	api_v2_reply_data(call, json_pack("{s:I,s:I}", "conn_count", connections, "ip_count", addresses));
}
