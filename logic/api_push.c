/* api_push: /goim/push/ and /goim/kick. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* A name that the caller gave to a push to a room; NULL: none. False: he was told. */
static bool read_name(struct api_call *call, const char **name)
{
	const size_t n = (*name = call->request->idempotency_key) != NULL ? strlen(*name) : 1;

	if (n > 0 && n <= REPEATS_NAME_BYTES)
		return true;
	api_v2_reply_bad(call, "Idempotency-Key must have 1 to 64 characters");
	return false;
}

/* What is pushed to all others has no name. */
static bool read_unnamed(struct api_call *call, struct logic_message *message)
{
	if (call->request->idempotency_key != NULL) {
		api_v2_reply_bad(call,
				 "Idempotency-Key is for /goim/push/room alone; without it this push may come twice");
		return false;
	}
	return read_message(call, message);
}

/* keep=no. False: the caller was told. */
static bool read_keep(struct api_call *call, bool *unkept)
{
	const char *keep = http_param(call->request, "keep");

	*unkept = keep != NULL && strcmp(keep, "no") == 0;
	if (keep == NULL || keep[0] == '\0' || *unkept || strcmp(keep, "yes") == 0)
		return true;
	api_v2_reply_bad(call, "keep must be yes or no");
	return false;
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

static json_t *mid_name(const void *users, size_t i)
{
	return json_integer(((const struct user *)users)[i].mid);
}

static json_t *user_name(const void *users, size_t i)
{
	char text[USER_BYTES];

	return json_string(user_text(&((const struct user *)users)[i], text));
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

	if (!read_unnamed(call, &message))
		return;
	rc = api_read_list(call->request, "keys", &keys, &n);
	if (api_v2_list_is_good(call, rc, n, "keys is missing"))
		push_to_keys(call, &message, keys, n);
	free(keys);
}

/* Two ways to name users; `name` is how the answer names them. */
struct way {
	const char *param;
	int (*read)(const struct http_request *request, struct user **list, size_t *n);
	api_name *name;
	const char *words;
};

static const struct way by_mids = {"mids", api_read_mids, mid_name, "mids must be whole numbers"};
static const struct way by_users = {
	"users", api_read_users, user_name,
	"users must be given; each is UTF-8 of at most 128 bytes, without control characters"};

static void push_to_users(struct api_call *call, struct logic_message *message, const struct way *way,
			  const struct user *users, size_t n)
{
	struct api_told told;
	int rc = api_told_init(&told, call, n, message);

	if (rc == 0)
		rc = logic_push_users(call->logic, message, users, n);
	api_told_reply(&told, call, rc, way->param, users, n, way->name);
	api_told_fini(&told);
}

static void push_users(struct api_call *call, const struct way *way)
{
	struct logic_message message;
	struct user *users;
	size_t n;
	int rc;

	if (!read_unnamed(call, &message))
		return;
	rc = way->read(call->request, &users, &n);
	if (api_v2_list_is_good(call, rc, n, way->words))
		push_to_users(call, &message, way, users, n);
	free(users);
}

void api_push_mids(struct api_call *call)
{
	push_users(call, &by_mids);
}

void api_push_users(struct api_call *call)
{
	push_users(call, &by_users);
}

/* True: it failed in a way that only pushes to rooms can, and the caller was told. */
static bool is_told(struct api_call *call, int rc)
{
	const int status = rc == -EMSGSIZE ? 413 : 200;
	const char *words = rc == -EMSGSIZE
				    ? "the body is too long to be kept (stream.bytes); keep=no pushes it all the same"
				    : "a push with this Idempotency-Key is under way, try again";

	if (rc != -EMSGSIZE && rc != -EBUSY)
		return false;
	call->code = rc == -EMSGSIZE ? -413 : -500;
	api_reply_json(call, status, json_pack("{s:i,s:s}", "code", call->code, "message", words));
	return true;
}

static void push_to_room(struct api_call *call, struct logic_message *message, const char *room)
{
	struct api_told told;
	uint64_t number = 0;
	int rc = api_told_init(&told, call, 0, message);

	if (rc == 0)
		rc = logic_push_room(call->logic, message, room, &number);
	api_v2_set_position(call, number);
	if (!is_told(call, rc))
		api_told_reply(&told, call, rc, "room", NULL, 0, NULL);
	api_told_fini(&told);
}

void api_push_room(struct api_call *call)
{
	struct logic_message message;
	char room[WIRE_ROOM_BYTES];

	if (read_message(call, &message) && read_keep(call, &message.unkept) && read_name(call, &message.name) &&
	    api_v2_read_room(call, room))
		push_to_room(call, &message, room);
}

void api_push_all(struct api_call *call)
{
	const char *speed_text = http_param(call->request, "speed");
	struct logic_message message;
	long long speed = 0;

	call->targets = 0;
	if (!read_unnamed(call, &message))
		return;
	if (!api_v2_is_empty(speed_text) && !api_read_number(speed_text, 0, INT32_MAX, &speed))
		api_v2_reply_bad(call, "speed must be a whole number, 0 or more");
	else
		api_v2_reply_result(call, logic_push_all(call->logic, &message, (uint32_t)speed));
}

/* ---- kick ---- */

static void reply_kicked(struct api_call *call, int rc, const size_t *kicked)
{
	if (rc < 0)
		api_v2_reply_result(call, rc);
	else
		api_v2_reply_data(call, json_pack("{s:I}", "kicked", (json_int_t)*kicked));
}

static void kick_keys(struct api_call *call)
{
	const char **keys;
	size_t n, kicked = 0;
	int rc = api_read_list(call->request, "keys", &keys, &n);

	if (api_v2_list_is_good(call, rc, n, "keys, mids or users must be given; mids are whole numbers")) {
		rc = logic_kick_keys(call->logic, keys, n, &kicked);
		reply_kicked(call, rc, &kicked);
	}
	free(keys);
}

static void kick_users(struct api_call *call, const struct way *way)
{
	struct user *users;
	size_t n, kicked = 0;
	int rc = way->read(call->request, &users, &n);

	if (api_v2_list_is_good(call, rc, n, way->words)) {
		rc = logic_kick_users(call->logic, users, n, &kicked);
		reply_kicked(call, rc, &kicked);
	}
	free(users);
}

void api_kick(struct api_call *call)
{
	bool mids = http_param(call->request, "mids") != NULL, users = http_param(call->request, "users") != NULL;

	if (http_param(call->request, "for") != NULL || http_param(call->request, "networks") != NULL)
		api_ban(call);
	else if ((http_param(call->request, "keys") != NULL) + mids + users > 1)
		api_v2_reply_bad(call, "give keys, mids or users, and not two of them");
	else if (mids || users)
		kick_users(call, mids ? &by_mids : &by_users);
	else
		kick_keys(call);
}
