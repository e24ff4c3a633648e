/* api_push: /goim/push/ and /goim/kick. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/http/http_guard.h"
#include "common/wire/packet.h"
#include "common/wire/wire.h"
#include "logic/api_told.h"
#include "logic/api_v2.h"

/* ---- what is pushed, and to whom ---- */

/* The body, with an operation other than 0. False: the caller was told. */
static bool read_message(struct api_call *call, struct logic_message *message)
{
	long long value;

	if (!api_read_number(http_param(call->request, "operation"), INT32_MIN, INT32_MAX, &value) || value == 0) {
		api_v2_reply_bad(call, "operation must be a whole number other than 0");
		return false;
	}
	/* A pushed goodbye would send clients away for good. */
	if (packet_op_is_own((int32_t)value)) {
		api_v2_reply_bad(
			call, "this operation is the protocol's own; take 4, 5, or one from 18 to 253 or from 256 on");
		return false;
	}
	*message = (struct logic_message){
		.op = (int32_t)value, .body = call->request->body, .body_bytes = call->request->body_bytes};
	return true;
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

static json_t *key_name(const void *keys, size_t i)
{
	return json_string(((const char *const *)keys)[i]);
}

static json_t *mid_name(const void *mids, size_t i)
{
	return json_integer(((const int64_t *)mids)[i]);
}

static void push_to_keys(struct api_call *call, struct logic_message *message, const char *const *keys, size_t n)
{
	struct api_told told;
	int rc = api_told_init(&told, call, n, message);

	if (rc == 0)
		rc = logic_push_keys(call->logic, message, keys, n);
	if (rc == 0 && is_list_by_mistake(call, keys, n))
		reply_nobody(call);
	else
		api_told_reply(&told, call, rc, "keys", keys, n, key_name);
	api_told_fini(&told);
}

void api_push_keys(struct api_call *call)
{
	struct logic_message message;
	const char **keys;
	size_t n;
	int rc;

	if (!read_message(call, &message))
		return;
	rc = api_read_list(call->request, "keys", &keys, &n);
	if (api_v2_list_is_good(call, rc, n, "keys is missing"))
		push_to_keys(call, &message, keys, n);
	free(keys);
}

static void push_to_mids(struct api_call *call, struct logic_message *message, const int64_t *mids, size_t n)
{
	struct api_told told;
	int rc = api_told_init(&told, call, n, message);

	if (rc == 0)
		rc = logic_push_mids(call->logic, message, mids, n);
	api_told_reply(&told, call, rc, "mids", mids, n, mid_name);
	api_told_fini(&told);
}

void api_push_mids(struct api_call *call)
{
	struct logic_message message;
	int64_t *mids;
	size_t n;
	int rc;

	if (!read_message(call, &message))
		return;
	rc = api_read_numbers(call->request, "mids", &mids, &n);
	if (api_v2_list_is_good(call, rc, n, "mids must be whole numbers"))
		push_to_mids(call, &message, mids, n);
	free(mids);
}

static void push_to_room(struct api_call *call, struct logic_message *message, const char *room)
{
	struct api_told told;
	int rc = api_told_init(&told, call, 0, message);

	if (rc == 0)
		rc = logic_push_room(call->logic, message, room);
	api_told_reply(&told, call, rc, "room", NULL, 0, NULL);
	api_told_fini(&told);
}

void api_push_room(struct api_call *call)
{
	const struct http_request *rq = call->request;
	const char *type = http_param(rq, "type"), *room = http_param(rq, "room");
	struct logic_message message;
	char key[WIRE_ROOM_BYTES];

	if (!read_message(call, &message))
		return;
	if (api_v2_is_empty(type) || api_v2_is_empty(room))
		api_v2_reply_bad(call, "type and room must be given");
	else if (!api_v2_room_key(type, room, key))
		api_v2_reply_bad(call, "type and room are too long");
	else if (http_guard_may_room(rq, key, call->reply))
		push_to_room(call, &message, key);
}

void api_push_all(struct api_call *call)
{
	const char *speed_text = http_param(call->request, "speed");
	struct logic_message message;
	long long speed = 0;

	call->targets = 0;
	if (!read_message(call, &message))
		return;
	if (!api_v2_is_empty(speed_text) && !api_read_number(speed_text, 0, INT32_MAX, &speed))
		api_v2_reply_bad(call, "speed must be a whole number, 0 or more");
	else
		api_v2_reply_result(call, logic_push_all(call->logic, &message, (uint32_t)speed));
}

/* ---- kick ---- */

void api_kick(struct api_call *call)
{
	const struct http_request *rq = call->request;
	bool by_mids = http_param(rq, "mids") != NULL;
	const char *words = "keys or mids must be given; mids are whole numbers";
	size_t n = 0, kicked = 0;
	int64_t *mids = NULL;
	const char **keys = NULL;
	int rc;

	if (by_mids && http_param(rq, "keys") != NULL) {
		api_v2_reply_bad(call, "give keys or mids, not both");
		return;
	}
	rc = by_mids ? api_read_numbers(rq, "mids", &mids, &n) : api_read_list(rq, "keys", &keys, &n);
	if (api_v2_list_is_good(call, rc, n, words)) {
		rc = by_mids ? logic_kick_mids(call->logic, mids, n, &kicked)
			     : logic_kick_keys(call->logic, keys, n, &kicked);
		if (rc < 0)
			api_v2_reply_result(call, rc);
		else
			api_v2_reply_data(call, json_pack("{s:I}", "kicked", (json_int_t)kicked));
	}
	free(mids);
	free(keys);
}
