/* api_push: see api_push.h; /goim/push/ and /goim/kick. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/packet.h"
#include "common/wire/wire.h"
#include "logic/api_push.h"

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
	/* Parameters in the body, and none of them is the message: under another name it would be lost in silence. */
	if (call->request->body == NULL) {
		api_v2_reply_bad(call, "body must be given: it is the message, and may be empty");
		return false;
	}
	*message = (struct logic_message){
		.op = (int32_t)value, .body = call->request->body, .body_bytes = call->request->body_bytes};
	return true;
}

/* A name that the caller gave to a push to a room, or to users who are kept; NULL: none. What is pushed to all others has no name. False: he
 * was told. */
static bool read_name(struct api_call *call, bool may_have_one, const char **name)
{
	const size_t n = (*name = call->request->idempotency_key) != NULL ? strlen(*name) : 1;

	if (*name != NULL && !may_have_one)
		api_v2_reply_bad(call, "Idempotency-Key is for /goim/push/room, and for users whose pushes are kept "
				       "(stream.users); without it this push may come twice");
	else if (n == 0 || n > REPEATS_NAME_BYTES)
		api_v2_reply_bad(call, "Idempotency-Key must have 1 to 64 characters");
	else
		return true;
	return false;
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

/* confirm=30s. False: the caller was told. */
static bool read_confirm(struct api_call *call, struct logic_message *m)
{
	const char *text = http_param(call->request, "confirm");
	const struct logic *l = call->logic;

	if (text == NULL)
		return true;
	if (!api_v2_read_span(text, &m->confirm_ms) || m->confirm_ms > l->cfg->stream_position_ttl)
		api_v2_reply_bad(
			call, "confirm must say within what time, such as 30s, 15m or 1h; at most stream.position_ttl");
	else if (!l->tells_unacked || !logic_keeps_users(l, m))
		api_v2_reply_bad(
			call,
			"confirm is for pushes to users that are kept (stream.users), where events.kinds has unacked");
	else
		return true;
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
	api_v2_reply_words(call, 200, 0, "nobody has this key; a comma is part of a key, so repeat keys= for each");
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

struct api_push_kind {
	const char *path;
	const char *param; /* the one that makes it this kind */
	api_name *name;    /* of those whom the answer may list */
	bool tells, may_be_kept, may_be_confirmed;
	bool (*read)(struct api_call *call, struct api_push *p); /* to whom. False: the caller was told */
	int (*push)(struct logic *l, struct api_push *p);
};

static bool read_keys(struct api_call *call, struct api_push *p)
{
	const char **keys;
	int rc = api_read_list(call->request, "keys", &keys, &p->n);

	p->names = keys;
	return api_v2_list_is_good(call, rc, p->n, "keys is missing");
}

static int push_to_keys(struct logic *l, struct api_push *p)
{
	return logic_push_keys(l, &p->message, p->names, p->n);
}

static bool read_users(struct api_call *call, struct api_push *p, bool by_mids)
{
	struct user *users;
	const bool is_good = api_v2_read_users(call, by_mids, &users, &p->n);

	p->names = users;
	return is_good;
}

static bool read_mids(struct api_call *call, struct api_push *p)
{
	return read_users(call, p, true);
}

static bool read_named(struct api_call *call, struct api_push *p)
{
	return read_users(call, p, false);
}

static int push_to_users(struct logic *l, struct api_push *p)
{
	uint64_t *numbers = NULL;
	int rc;

	if (logic_keeps_users(l, &p->message) && (numbers = calloc(p->n, sizeof(*numbers))) == NULL)
		return -ENOMEM;
	p->numbers = p->message.numbers = numbers;
	rc = logic_push_users(l, &p->message, p->names, p->n);
	if (rc == 0 && p->n == 1 && numbers != NULL)
		p->number = numbers[0];
	return rc;
}

static bool read_room(struct api_call *call, struct api_push *p)
{
	return api_v2_read_room(call, p->room);
}

static int push_to_room(struct logic *l, struct api_push *p)
{
	return logic_push_room(l, &p->message, p->room, &p->number);
}

static bool read_all(struct api_call *call, struct api_push *p)
{
	static const struct api_number speed = {"speed", 0, INT32_MAX, "speed must be a whole number, 0 or more"};

	call->targets = 0;
	return api_v2_read_number(call, &speed, &p->speed);
}

static int push_to_all(struct logic *l, struct api_push *p)
{
	return logic_push_all(l, &p->message, (uint32_t)p->speed);
}

static const struct api_push_kind to_keys = {"/goim/push/keys", "keys",      key_name, true, false, false,
					     read_keys,         push_to_keys},
				  to_mids = {"/goim/push/mids", "mids",       mid_name, true, true, true,
					     read_mids,         push_to_users},
				  to_users = {"/goim/push/users", "users",      user_name, true, true, true,
					      read_named,         push_to_users},
				  to_room = {"/goim/push/room", "room",      NULL, true, true, false,
					     read_room,         push_to_room},
				  to_all = {"/goim/push/all", "all", NULL, false, false, false, read_all, push_to_all};

/* "all" is no list, which may be empty, but says yes or no. */
static bool names(const struct http_request *request, const struct api_push_kind *kind)
{
	return kind == &to_all ? api_v2_is_1(request, kind->param) : http_param(request, kind->param) != NULL;
}

const struct api_push_kind *api_push_kind_of(const struct http_request *request)
{
	static const struct api_push_kind *const kinds[] = {&to_keys, &to_mids, &to_users, &to_room, &to_all};
	const struct api_push_kind *found = NULL;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!names(request, kinds[i]))
			continue;
		if (found != NULL)
			return NULL;
		found = kinds[i];
	}
	return found;
}

const char *api_push_path(const struct api_push_kind *kind)
{
	return kind->path;
}

static bool may_be_named(const struct logic *l, const struct api_push *p)
{
	return p->kind == &to_room || (p->kind->may_be_kept && logic_keeps_users(l, &p->message));
}

static bool read_push(struct api_call *call, struct api_push *p)
{
	return read_message(call, &p->message) && (!p->kind->may_be_kept || read_keep(call, &p->message.unkept)) &&
	       (!p->kind->may_be_confirmed || read_confirm(call, &p->message)) &&
	       read_name(call, may_be_named(call->logic, p), &p->message.name) && p->kind->read(call, p);
}

/* What rc means that tells: the caller has been answered. */
#define ANSWERED (-ECANCELED)

void api_push_begin(struct api_push *p, struct api_call *call, const struct api_push_kind *kind, bool in_halves)
{
	*p = (struct api_push){.kind = kind, .rc = ANSWERED};
	if (!read_push(call, p))
		return;
	if (in_halves)
		p->message.flight = &p->flight;
	p->rc = kind->tells ? api_told_init(&p->told, call, p->n, &p->message) : 0;
	if (p->rc == 0)
		p->rc = kind->push(call->logic, p);
}

bool api_push_is_under_way(const struct api_push *p)
{
	return p->rc == -EINPROGRESS;
}

/* True: it failed in a way that only pushes that may be kept can, and the caller was told. */
static bool is_told(struct api_call *call, int rc)
{
	static const struct {
		int rc, code, status;
		const char *words;
	} failures[] = {
		{-EMSGSIZE, -413, 413,
		 "the body is too long to be kept (stream.bytes); keep=no pushes it all the same"},
		{-E2BIG, -400, 400, "too many users for a push that is kept (stream.mids_max): use a room, or keep=no"},
		{-EBUSY, -500, 200, "a push with this Idempotency-Key is under way, try again"},
	};

	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		if (failures[i].rc != rc)
			continue;
		api_v2_reply_words(call, failures[i].status, failures[i].code, failures[i].words);
		return true;
	}
	return false;
}

/* By the users' strings. */
static json_t *positions_of(const struct user *users, const uint64_t *numbers, size_t n)
{
	json_t *positions = json_object();
	char text[USER_BYTES];

	for (size_t i = 0; i < n; i++)
		(void)json_object_set_new(positions, user_text(&users[i], text), json_integer((json_int_t)numbers[i]));
	return positions;
}

static void answer(struct api_push *p, struct api_call *call)
{
	if (p->rc == ANSWERED)
		return;
	api_v2_set_position(call, p->number);
	if (is_told(call, p->rc))
		return;
	if (p->rc == 0 && p->numbers != NULL && api_v2_is_1(call->request, "positions"))
		p->told.positions = positions_of(p->names, p->numbers, p->n);
	if (p->rc == 0 && p->kind == &to_keys && is_list_by_mistake(call, p->names, p->n))
		reply_nobody(call);
	else
		api_told_reply(&p->told, call, p->rc, p->kind->param, p->names, p->n, p->kind->name);
}

void api_push_end(struct api_push *p, struct api_call *call)
{
	if (api_push_is_under_way(p))
		p->rc = logic_push_end(call->logic, &p->flight, &p->number);
	answer(p, call);
	api_told_fini(&p->told);
	free(p->numbers);
	free(p->names);
}

static void push(struct api_call *call, const struct api_push_kind *kind)
{
	struct api_push p;

	api_push_begin(&p, call, kind, false);
	api_push_end(&p, call);
}

void api_push_keys(struct api_call *call)
{
	push(call, &to_keys);
}

void api_push_mids(struct api_call *call)
{
	push(call, &to_mids);
}

void api_push_users(struct api_call *call)
{
	push(call, &to_users);
}

void api_push_room(struct api_call *call)
{
	push(call, &to_room);
}

void api_push_all(struct api_call *call)
{
	push(call, &to_all);
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

static void kick_users(struct api_call *call, bool by_mids)
{
	struct user *users;
	size_t n, kicked = 0;
	int rc;

	if (api_v2_read_users(call, by_mids, &users, &n)) {
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
		kick_users(call, mids);
	else
		kick_keys(call);
}
