/* api_v1: goim's first HTTP API. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/http/http_guard.h"
#include "common/wire/wire.h"
#include "logic/api_route.h"

enum { RET_OK = 1, RET_FAULT = 65535 };

static void reply_ret(struct api_call *call, int ret)
{
	call->code = ret == RET_OK ? 0 : ret;
	api_reply_json(call, 200, json_pack("{s:i}", "ret", ret));
}

static void reply_result(struct api_call *call, int rc)
{
	reply_ret(call, rc == 0 ? RET_OK : RET_FAULT);
}

static void reply_data(struct api_call *call, json_t *data)
{
	api_reply_json(call, 200, json_pack("{s:o,s:i}", "data", data, "ret", RET_OK));
}

static void wrong_method(struct api_call *call)
{
	api_reply_json(call, 405, json_pack("{s:i}", "ret", RET_FAULT));
}

static void bad_params(struct api_call *call)
{
	reply_ret(call, RET_FAULT);
}

/* ---- push ---- */

/* All operations of version 1 are this one. */
static struct logic_message message_of(const struct http_request *rq)
{
	return (struct logic_message){.op = OP_SEND_REPLY, .body = rq->body, .body_bytes = rq->body_bytes};
}

static void push(struct api_call *call)
{
	const struct logic_message message = message_of(call->request);
	long long uid;

	if (!api_read_number(http_param(call->request, "uid"), INT64_MIN, INT64_MAX, &uid)) {
		reply_ret(call, RET_FAULT);
		return;
	}
	reply_result(call, logic_push_users(call->logic, &message, &(struct user){.mid = uid}, 1));
}

/* The user ids of "u"; NULL: no such list, or no memory. */
static struct user *read_users(const json_t *users, size_t *n)
{
	struct user *list;
	const json_t *uid;
	size_t i;

	if (!json_is_array(users) || (list = calloc(json_array_size(users) + 1, sizeof(*list))) == NULL)
		return NULL;
	json_array_foreach(users, i, uid)
	{
		if (!json_is_integer(uid)) {
			free(list);
			return NULL;
		}
		list[i].mid = json_integer_value(uid);
	}
	*n = json_array_size(users);
	return list;
}

/* The message goes out as it was written: 0.1 stays 0.1, and a number that is read and printed again would not. */
static void pushs(struct api_call *call)
{
	const struct http_request *rq = call->request;
	struct logic_message message = {.op = OP_SEND_REPLY};
	json_t *body = json_read(rq->body, rq->body_bytes, 0);
	size_t n = 0;
	struct user *users = read_users(json_object_get(body, "u"), &n);
	int rc = -EINVAL;

	call->targets = n;
	if (users != NULL)
		message.body = json_member_text((const char *)rq->body, rq->body_bytes, "m", &message.body_bytes);
	if (message.body != NULL)
		rc = logic_push_users(call->logic, &message, users, n);
	reply_result(call, rc);
	free(users);
	json_decref(body);
}

static void push_room(struct api_call *call)
{
	const struct logic_message message = message_of(call->request);
	char room[12]; /* an int32 and its zero byte */
	uint64_t number;
	long long rid;

	/* `ensure` asked goim to wait for its queue; here every push waits for the queue. */
	if (!api_read_number(http_param(call->request, "rid"), INT32_MIN, INT32_MAX, &rid)) {
		reply_ret(call, RET_FAULT);
		return;
	}
	/* As a client's room is written: "01" means the room 1, too. */
	(void)snprintf(room, sizeof(room), "%d", (int)rid);
	if (http_guard_may_room(call->request, room, call->reply))
		reply_result(call, logic_push_room(call->logic, &message, room, &number));
}

static void push_all(struct api_call *call)
{
	const struct logic_message message = message_of(call->request);

	call->targets = 0;
	reply_result(call, logic_push_all(call->logic, &message, 0));
}

/* ---- counts ---- */

/* Rooms of v1 are numbers; its clients do not know other rooms. */
static void count_rooms(struct api_call *call)
{
	struct registry_rooms rooms;
	json_t *list;

	if (registry_online(&call->logic->registry, &rooms) < 0) {
		reply_ret(call, RET_FAULT);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < rooms.n; i++) {
		long long rid;

		if (http_key_may_room(&call->request->key, rooms.rooms[i].room) &&
		    api_read_number(rooms.rooms[i].room, INT32_MIN, INT32_MAX, &rid))
			(void)json_array_append_new(list, json_pack("{s:I,s:I}", "RoomId", (json_int_t)rid, "Count",
								    (json_int_t)rooms.rooms[i].count));
	}
	registry_rooms_fini(&rooms);
	reply_data(call, list);
}

static int by_id(const void *a, const void *b)
{
	const struct registry_server *x = a, *y = b;

	return strcmp(x->id, y->id);
}

/* Servers of v1 have numbers: here their places in the order of their ids, from 1. */
static int list_servers(struct api_call *call, struct registry_servers *servers)
{
	int rc = registry_servers(&call->logic->registry, servers);

	if (rc == 0)
		qsort(servers->servers, servers->n, sizeof(*servers->servers), by_id);
	return rc;
}

static void count_servers(struct api_call *call)
{
	struct registry_servers servers;
	json_t *list;

	if (list_servers(call, &servers) < 0) {
		reply_ret(call, RET_FAULT);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < servers.n; i++)
		(void)json_array_append_new(list, json_pack("{s:I,s:I}", "Server", (json_int_t)i + 1, "Count",
							    (json_int_t)servers.servers[i].connections));
	registry_servers_fini(&servers);
	reply_data(call, list);
}

static void count_online(struct api_call *call)
{
	const char *type = http_param(call->request, "type");

	if (type != NULL && strcmp(type, "room") == 0)
		count_rooms(call);
	else if (type != NULL && strcmp(type, "server") == 0)
		count_servers(call);
	else
		reply_ret(call, RET_FAULT);
}

/* ---- servers ---- */

/* By its number of /1/count, or by its id, which does not change when another server comes. */
static void del_server(struct api_call *call)
{
	const char *which = http_param(call->request, "server");
	struct registry_servers servers;
	long long number;
	int rc;

	if (which == NULL || which[0] == '\0' || list_servers(call, &servers) < 0) {
		reply_ret(call, RET_FAULT);
		return;
	}
	if (api_read_number(which, 1, (long long)servers.n, &number))
		which = servers.servers[number - 1].id;
	/* A comet alone is there, and nobody would register its clients again. */
	rc = call->logic->alone ? 0 : registry_del_server(&call->logic->registry, which);
	registry_servers_fini(&servers);
	reply_result(call, rc);
}

static const struct api_route routes[] = {
	{"POST", "/1/push", HTTP_PUSH_USERS, push, "?uid=123  and the rest of goim's first API", "uid! =message"},
	{"POST", "/1/pushs", HTTP_PUSH_USERS, pushs, NULL, "=json"},
	{"POST", "/1/push/room", HTTP_PUSH_ROOMS, push_room, NULL, "rid! =message"},
	{"POST", "/1/push/all", HTTP_PUSH_ALL, push_all, NULL, "=message"},
	{"GET", "/1/count", HTTP_ONLINE, count_online, NULL, "type! >CountsOfGoim"},
	{"POST", "/1/server/del", HTTP_KICK | HTTP_ADMIN, del_server, NULL, "server!"},
	{NULL, NULL, 0, NULL, NULL, NULL},
};

const struct api_dialect api_v1 = {.routes = routes, .wrong_method = wrong_method, .bad_params = bad_params};
