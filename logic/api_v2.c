/* api_v2: goim's second HTTP API, and our additions in its manner: kick, upstream. docs/protocol.md, section 7, is
 * its contract.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/wire/wire.h"
#include "logic/api_route.h"
#include "logic/nodes.h"

/* ---- replies ---- */

/* The answer to nearly all pushes, without a detour through JSON. */
static void reply_ok(struct api_call *call)
{
	static const char text[] = "{\"code\":0,\"message\":\"\"}";
	struct http_reply *reply = call->reply;

	if ((reply->body = strdup(text)) == NULL)
		return; /* 500, as the reply came */
	reply->body_bytes = sizeof(text) - 1;
	reply->status = 200;
	reply->content_type = API_JSON;
}

static void reply_data(struct api_call *call, json_t *data)
{
	api_reply_json(call, 200, json_pack("{s:i,s:s,s:o}", "code", 0, "message", "", "data", data));
}

static void reply_bad(struct api_call *call, const char *words)
{
	api_reply_json(call, 400, json_pack("{s:i,s:s}", "code", -400, "message", words));
}

/* rc of a logic call: 0 is told as success, any other value is the server's fault. */
static void reply_result(struct api_call *call, int rc)
{
	const char *words = rc == -EAGAIN ? "the push queue is full, try again" : err_text(rc);

	if (rc == 0)
		reply_ok(call);
	else
		api_reply_json(call, 200, json_pack("{s:i,s:s}", "code", -500, "message", words));
}

static void wrong_method(struct api_call *call)
{
	api_reply_json(
		call, 405,
		json_pack("{s:i,s:s+}", "code", -405, "message", "this path takes only ", call->reply->extra_value));
}

static void bad_params(struct api_call *call)
{
	reply_bad(call, "the percent-encoding of the parameters is broken");
}

/* ---- parameters ---- */

/* The body, with an operation other than 0. False: the caller was told. */
static bool read_message(struct api_call *call, struct logic_message *message)
{
	long long value;

	if (!api_read_number(http_param(call->request, "operation"), INT32_MIN, INT32_MAX, &value) || value == 0) {
		reply_bad(call, "operation must be a whole number other than 0");
		return false;
	}
	/* A pushed goodbye would send clients away for good. */
	if (packet_op_is_own((int32_t)value)) {
		reply_bad(call,
			  "this operation is the protocol's own; take 4, 5, or one from 18 to 253 or from 256 on");
		return false;
	}
	*message = (struct logic_message){
		.op = (int32_t)value, .body = call->request->body, .body_bytes = call->request->body_bytes};
	return true;
}

static bool is_empty(const char *text)
{
	return text == NULL || text[0] == '\0';
}

/* rc of reading a list with n entries: is there something to work with? */
static bool list_is_good(struct api_call *call, int rc, size_t n, const char *words)
{
	if (rc == -ENOMEM)
		reply_result(call, rc);
	else if (rc < 0 || n == 0)
		reply_bad(call, words);
	return rc == 0 && n > 0;
}

/* A comma is part of a key. Was one meant to stand between keys? Nobody has this one. */
static bool is_list_by_mistake(struct api_call *call, const char *const *keys, size_t n)
{
	struct registry_found found;
	bool none;

	if (n != 1 || strchr(keys[0], ',') == NULL || registry_find_keys(&call->logic->registry, keys, n, &found) < 0)
		return false;
	none = found.n == 0;
	registry_found_fini(&found);
	return none;
}

static void reply_nobody(struct api_call *call)
{
	api_reply_json(call, 200,
		       json_pack("{s:i,s:s}", "code", 0, "message",
				 "nobody has this key; a comma is part of a key, so repeat keys= for each"));
}

/* ---- push ---- */

static void push_keys(struct api_call *call)
{
	struct logic_message message;
	const char **keys;
	size_t n;
	int rc;

	if (!read_message(call, &message))
		return;
	rc = api_read_list(call->request, "keys", &keys, &n);
	if (list_is_good(call, rc, n, "keys is missing")) {
		rc = logic_push_keys(call->logic, &message, keys, n);
		if (rc == 0 && is_list_by_mistake(call, keys, n))
			reply_nobody(call);
		else
			reply_result(call, rc);
	}
	free(keys);
}

static void push_mids(struct api_call *call)
{
	struct logic_message message;
	int64_t *mids;
	size_t n;
	int rc;

	if (!read_message(call, &message))
		return;
	rc = api_read_numbers(call->request, "mids", &mids, &n);
	if (list_is_good(call, rc, n, "mids must be whole numbers"))
		reply_result(call, logic_push_mids(call->logic, &message, mids, n));
	free(mids);
}

/* type://room, or false where it would be longer than a room id may be. */
static bool room_key(const char *type, const char *room, char key[WIRE_ROOM_BYTES])
{
	return snprintf(key, WIRE_ROOM_BYTES, "%s://%s", type, room) < WIRE_ROOM_BYTES;
}

static void push_room(struct api_call *call)
{
	const struct http_request *rq = call->request;
	const char *type = http_param(rq, "type"), *room = http_param(rq, "room");
	struct logic_message message;
	char key[WIRE_ROOM_BYTES];

	if (!read_message(call, &message))
		return;
	if (is_empty(type) || is_empty(room))
		reply_bad(call, "type and room must be given");
	else if (!room_key(type, room, key))
		reply_bad(call, "type and room are too long");
	else
		reply_result(call, logic_push_room(call->logic, &message, key));
}

static void push_all(struct api_call *call)
{
	const char *speed_text = http_param(call->request, "speed");
	struct logic_message message;
	long long speed = 0;

	if (!read_message(call, &message))
		return;
	if (!is_empty(speed_text) && !api_read_number(speed_text, 0, INT32_MAX, &speed))
		reply_bad(call, "speed must be a whole number, 0 or more");
	else
		reply_result(call, logic_push_all(call->logic, &message, (uint32_t)speed));
}

/* ---- kick ---- */

static void kick(struct api_call *call)
{
	const struct http_request *rq = call->request;
	bool by_mids = http_param(rq, "mids") != NULL;
	const char *words = "keys or mids must be given; mids are whole numbers";
	size_t n = 0, kicked = 0;
	int64_t *mids = NULL;
	const char **keys = NULL;
	int rc;

	if (by_mids && http_param(rq, "keys") != NULL) {
		reply_bad(call, "give keys or mids, not both");
		return;
	}
	rc = by_mids ? api_read_numbers(rq, "mids", &mids, &n) : api_read_list(rq, "keys", &keys, &n);
	if (list_is_good(call, rc, n, words)) {
		rc = by_mids ? logic_kick_mids(call->logic, mids, n, &kicked)
			     : logic_kick_keys(call->logic, keys, n, &kicked);
		if (rc < 0)
			reply_result(call, rc);
		else
			reply_data(call, json_pack("{s:I}", "kicked", (json_int_t)kicked));
	}
	free(mids);
	free(keys);
}

/* ---- online ---- */

static json_t *list_top(const struct registry_rooms *rooms, const char *type, size_t limit)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rooms->n && json_array_size(list) < limit; i++) {
		const char *room = rooms->rooms[i].room, *id = strstr(room, "://");

		if (strncmp(room, type, strlen(type)) != 0 || id == NULL)
			continue;
		(void)json_array_append_new(
			list, json_pack("{s:s,s:I}", "room_id", id + 3, "count", (json_int_t)rooms->rooms[i].count));
	}
	return list;
}

static void online_top(struct api_call *call)
{
	const char *type = http_param(call->request, "type");
	struct registry_rooms rooms;
	long long limit;
	int rc;

	if (is_empty(type)) {
		reply_bad(call, "type must be given");
		return;
	}
	if (!api_read_number(http_param(call->request, "limit"), 1, INT32_MAX, &limit)) {
		reply_bad(call, "limit must be a whole number above 0");
		return;
	}
	if ((rc = registry_online(&call->logic->registry, &rooms)) < 0) {
		reply_result(call, rc);
		return;
	}
	registry_rooms_sort(&rooms);
	reply_data(call, list_top(&rooms, type, (size_t)limit));
	registry_rooms_fini(&rooms);
}

static int64_t count_of(const struct registry_rooms *rooms, const char *room)
{
	for (size_t i = 0; i < rooms->n; i++)
		if (strcmp(rooms->rooms[i].room, room) == 0)
			return rooms->rooms[i].count;
	return 0;
}

static json_t *list_rooms(const struct registry_rooms *all, const char *type, const char **rooms, size_t n)
{
	json_t *counts = json_object();
	char key[WIRE_ROOM_BYTES];

	for (size_t i = 0; i < n; i++)
		(void)json_object_set_new(
			counts, rooms[i],
			json_integer(room_key(type, rooms[i], key) ? (json_int_t)count_of(all, key) : 0));
	return counts;
}

static void online_room(struct api_call *call)
{
	const char *type = http_param(call->request, "type");
	struct registry_rooms all;
	const char **rooms;
	size_t n;
	int rc;

	if (is_empty(type)) {
		reply_bad(call, "type must be given");
		return;
	}
	rc = api_read_list(call->request, "rooms", &rooms, &n);
	if (list_is_good(call, rc, n, "rooms is missing")) {
		rc = registry_online(&call->logic->registry, &all);
		if (rc < 0) {
			reply_result(call, rc);
		} else {
			reply_data(call, list_rooms(&all, type, rooms, n));
			registry_rooms_fini(&all);
		}
	}
	free(rooms);
}

static void online_total(struct api_call *call)
{
	struct registry_servers servers;
	json_int_t connections = 0, addresses = 0;
	int rc = registry_servers(&call->logic->registry, &servers);

	if (rc < 0) {
		reply_result(call, rc);
		return;
	}
	for (size_t i = 0; i < servers.n; i++) {
		connections += servers.servers[i].connections;
		addresses += servers.servers[i].addresses;
	}
	registry_servers_fini(&servers);
	reply_data(call, json_pack("{s:I,s:I}", "conn_count", connections, "ip_count", addresses));
}

/* ---- nodes ---- */

/* A client is closed when so many heartbeats did not come, of which it is to send one every *every_s. */
static int heartbeats_within_deadline(const struct config *cfg, json_int_t *every_s)
{
	int64_t half_ms = cfg->logic_heartbeat / 2;
	int64_t every_ms = cfg->logic_heartbeat_told < half_ms ? cfg->logic_heartbeat_told : half_ms;

	*every_s = every_ms / 1000;
	return (int)(cfg->logic_heartbeat / every_ms);
}

static void nodes_weighted(struct api_call *call)
{
	const struct config *cfg = call->logic->cfg;
	const char *platform = http_param(call->request, "platform");
	const char *region = http_param(call->request, "region");
	const struct client_ports ports = logic_client_ports(call->logic);
	struct registry_servers servers;
	json_t *nodes, *domain;
	json_int_t every_s;
	int beats = heartbeats_within_deadline(cfg, &every_s);
	int rc = registry_servers(&call->logic->registry, &servers);

	if (rc < 0) {
		reply_result(call, rc);
		return;
	}
	nodes = nodes_list(&servers, region != NULL ? region : "", platform != NULL && strcmp(platform, "web") == 0);
	registry_servers_fini(&servers);
	domain = json_array_get(nodes, 0);
	reply_data(call, json_pack("{s:s,s:I,s:I,s:I,s:I,s:o,s:{s:i,s:i,s:f,s:f},s:i}", "domain",
				   domain != NULL ? json_string_value(domain) : "", "tcp_port", (json_int_t)ports.tcp,
				   "ws_port", (json_int_t)ports.websocket, "wss_port", (json_int_t)ports.websocket_tls,
				   "heartbeat", every_s, "nodes", nodes, "backoff", "max_delay", 300, "base_delay", 3,
				   "factor", 1.8, "jitter", 0.3, "heartbeat_max", beats));
}

static json_t *describe_server(const struct registry_server *s, int64_t delivered, int64_t dropped)
{
	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "id", s->id, "region", s->region, "addrs", s->addrs,
			 "weight", (json_int_t)s->weight, "conn_count", (json_int_t)s->connections, "ip_count",
			 (json_int_t)s->addresses, "updated_ms", (json_int_t)s->updated_ms, "delivered",
			 (json_int_t)delivered, "dropped", (json_int_t)dropped);
}

static void nodes_instances(struct api_call *call)
{
	const bool ours = call->logic->alone; /* the one comet counts in this program */
	struct registry_servers servers;
	json_t *list;
	int rc = registry_servers(&call->logic->registry, &servers);

	if (rc < 0) {
		reply_result(call, rc);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < servers.n; i++) {
		const struct registry_server *s = &servers.servers[i];

		(void)json_array_append_new(list,
					    describe_server(s, ours ? counters_read(COUNT_DELIVERED) : s->delivered,
							    ours ? counters_read(COUNT_DROPPED) : s->dropped));
	}
	registry_servers_fini(&servers);
	reply_data(call, list);
}

/* ---- upstream ---- */

static json_t *describe_entry(const struct upstream_entry *entry)
{
	json_t *body = json_stringn((const char *)entry->body, entry->body_bytes);
	json_t *described;

	if (body != NULL)
		return json_pack("{s:s,s:s,s:I,s:i,s:o}", "id", entry->id, "key", entry->seat.key, "mid",
				 (json_int_t)entry->seat.mid, "op", (int)entry->op, "body", body);
	/* Not UTF-8, so no JSON string: as hex. */
	described = json_pack("{s:s,s:s,s:I,s:i}", "id", entry->id, "key", entry->seat.key, "mid",
			      (json_int_t)entry->seat.mid, "op", (int)entry->op);
	char *hex = malloc(entry->body_bytes * 2 + 1);
	for (size_t i = 0; hex != NULL && i < entry->body_bytes; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", entry->body[i]);
	if (hex != NULL)
		(void)json_object_set_new(described, "body_hex", json_string(hex));
	free(hex);
	return described;
}

static void upstream(struct api_call *call)
{
	const char *after = http_param(call->request, "after"), *wait_text = http_param(call->request, "wait");
	struct upstream_query query = {.after = is_empty(after) ? "0" : after, .max = 1000, .caller = call->request};
	struct upstream_found found;
	long long wait_ms = 0;
	json_t *list;
	int rc;

	if (!is_empty(wait_text) && !api_read_number(wait_text, 0, 60000, &wait_ms)) {
		reply_bad(call, "wait must be milliseconds from 0 to 60000");
		return;
	}
	query.wait_ms = wait_ms;
	rc = upstream_read(&call->logic->upstream, &query, &found);
	if (rc == -EINVAL)
		reply_bad(call, "after must be an id that this call gave before, or 0");
	else if (rc == -EBUSY)
		api_reply_json(call, 429, json_pack("{s:i,s:s}", "code", -429, "message", "too many callers wait"));
	else if (rc < 0)
		reply_result(call, rc);
	if (rc < 0)
		return;
	list = json_array();
	for (size_t i = 0; i < found.n; i++)
		(void)json_array_append_new(list, describe_entry(&found.entries[i]));
	upstream_found_fini(&found);
	reply_data(call, list);
}

static const struct api_route routes[] = {
	{"POST", "/goim/push/keys", HTTP_PUSH, push_keys, "?operation=1000&keys=KEY"},
	{"POST", "/goim/push/mids", HTTP_PUSH, push_mids, "?operation=1000&mids=123  the body is the message"},
	{"POST", "/goim/push/room", HTTP_PUSH, push_room, "?operation=1000&type=live&room=1000"},
	{"POST", "/goim/push/all", HTTP_PUSH, push_all, "?operation=1000&speed=0"},
	{"POST", "/goim/kick", HTTP_KICK, kick, "?mids=123  or keys=KEY"},
	{"GET", "/goim/online/top", HTTP_READ, online_top, "?type=live&limit=10"},
	{"GET", "/goim/online/room", HTTP_READ, online_room, "?type=live&rooms=1000"},
	{"GET", "/goim/online/total", HTTP_READ, online_total, ""},
	{"GET", "/goim/nodes/weighted", HTTP_READ, nodes_weighted, ""},
	{"GET", "/goim/nodes/instances", HTTP_READ, nodes_instances, ""},
	{"GET", "/goim/upstream", HTTP_READ, upstream, "?after=0&wait=1000  what clients send to the back end"},
	{NULL, NULL, 0, NULL, NULL},
};

const struct api_dialect api_v2 = {
	.routes = routes, .wrong_method = wrong_method, .bad_params = bad_params, .in_body = true};
