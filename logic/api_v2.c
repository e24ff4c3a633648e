/* api_v2: goim's second HTTP API, and our additions in its manner: its replies, what its paths read, and their table. docs/protocol.md,
 * section 7, is its contract.
 * SPDX-License-Identifier: MIT */
#include "logic/api_v2.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/http/http_guard.h"
#include "common/http/http_reload.h"

/* ---- replies ---- */

/* The answer to nearly all pushes, without a detour through JSON. */
void api_v2_reply_ok(struct api_call *call)
{
	static const char text[] = "{\"code\":0,\"message\":\"\"}";
	struct http_reply *reply = call->reply;

	if ((reply->body = strdup(text)) == NULL)
		return; /* 500, as the reply came */
	reply->body_bytes = sizeof(text) - 1;
	reply->status = 200;
	reply->content_type = API_JSON;
}

void api_v2_reply_data(struct api_call *call, json_t *data)
{
	api_reply_json(call, 200, json_pack("{s:i,s:s,s:o}", "code", 0, "message", "", "data", data));
}

void api_v2_reply_words(struct api_call *call, int status, int code, const char *words)
{
	call->code = code;
	api_reply_json(call, status, json_pack("{s:i,s:s}", "code", code, "message", words));
}

void api_v2_reply_bad(struct api_call *call, const char *words)
{
	api_v2_reply_words(call, 400, -400, words);
}

/* Comets ask a logic; what a logic asks is Redis. */
static void reply_no_redis(struct api_call *call)
{
	char words[HTTP_HEALTH_WORDS_BYTES];

	if (http_health_ask(&call->logic->health, words) || words[0] == '\0')
		(void)snprintf(words, sizeof(words),
			       "Redis did not take this, or has lost data and gets them again; try again");
	api_v2_reply_words(call, 200, -500, words);
}

void api_v2_reply_result(struct api_call *call, int rc)
{
	if (rc == 0)
		api_v2_reply_ok(call);
	else if (rc == -ERR_NO_LOGIC && !call->logic->alone)
		reply_no_redis(call);
	else
		api_v2_reply_words(call, 200, -500, rc == -EAGAIN ? "the push queue is full, try again" : err_text(rc));
}

void api_v2_reply_unread(struct api_call *call, int rc)
{
	if (rc == -EINVAL)
		api_v2_reply_bad(call, "after must be an id that this call gave before, or 0");
	else if (rc == -EBUSY)
		api_v2_reply_words(call, 429, -429, "too many callers wait");
	else
		api_v2_reply_result(call, rc);
}

void api_v2_set_position(struct api_call *call, uint64_t number)
{
	struct http_reply *reply = call->reply;

	if (number == 0)
		return;
	(void)snprintf(reply->extra_text, sizeof(reply->extra_text), "%llu", (unsigned long long)number);
	reply->extra_header = "Comet-Position";
	reply->extra_value = reply->extra_text;
}

void api_v2_set_body(json_t *object, const uint8_t *body, size_t bytes)
{
	json_t *text = json_stringn((const char *)body, bytes);

	if (text != NULL)
		(void)json_object_set_new(object, "body", text);
	else /* not UTF-8, so no JSON string */
		(void)json_object_set_new(object, "body_hex", json_hex(body, bytes));
}

static void wrong_method(struct api_call *call)
{
	api_reply_json(
		call, 405,
		json_pack("{s:i,s:s+}", "code", -405, "message", "this path takes only ", call->reply->extra_value));
}

static void bad_params(struct api_call *call)
{
	api_v2_reply_bad(call, "the percent-encoding of the parameters is broken");
}

/* ---- parameters ---- */

bool api_v2_is_empty(const char *text)
{
	return text == NULL || text[0] == '\0';
}

bool api_v2_is_1(const struct http_request *request, const char *name)
{
	const char *value = http_param(request, name);

	return value != NULL && strcmp(value, "1") == 0;
}

bool api_v2_read_number(struct api_call *call, const struct api_number *number, long long *out)
{
	const char *text = http_param(call->request, number->name);

	if (api_v2_is_empty(text) || api_read_number(text, number->min, number->max, out))
		return true;
	api_v2_reply_bad(call, number->words);
	return false;
}

bool api_v2_list_is_good(struct api_call *call, int rc, size_t n, const char *words)
{
	call->targets = n;
	if (rc == -ENOMEM)
		api_v2_reply_result(call, rc);
	else if (rc < 0 || n == 0)
		api_v2_reply_bad(call, words);
	return rc == 0 && n > 0;
}

bool api_v2_room_key(const char *type, const char *room, char key[WIRE_ROOM_BYTES])
{
	return snprintf(key, WIRE_ROOM_BYTES, "%s://%s", type, room) < WIRE_ROOM_BYTES;
}

/* No client may name such a room either; and one that begins so is the stream of a user (KEPT_USER). */
static bool has_control(const char *text)
{
	while (*text != '\0' && !iscntrl((unsigned char)*text))
		text++;
	return *text != '\0';
}

bool api_v2_name_room(struct api_call *call, const char *type, const char *room, char key[WIRE_ROOM_BYTES])
{
	if (!api_v2_room_key(type, room, key))
		api_v2_reply_bad(call, "type and room are too long");
	else if (has_control(key))
		api_v2_reply_bad(call, "type and room must not have control characters");
	else
		return http_guard_may_room(call->request, key, call->reply);
	return false;
}

const char *api_v2_read_type(struct api_call *call)
{
	const char *type = http_param(call->request, "type");

	if (!api_v2_is_empty(type))
		return type;
	api_v2_reply_bad(call, "type must be given");
	return NULL;
}

bool api_v2_read_room(struct api_call *call, char key[WIRE_ROOM_BYTES])
{
	const char *type = http_param(call->request, "type"), *room = http_param(call->request, "room");

	if (!api_v2_is_empty(type) && !api_v2_is_empty(room))
		return api_v2_name_room(call, type, room, key);
	api_v2_reply_bad(call, "type and room must be given");
	return false;
}

bool api_v2_read_users(struct api_call *call, bool by_mids, struct user **users, size_t *n)
{
	int rc = (by_mids ? api_read_mids : api_read_users)(call->request, users, n);

	return api_v2_list_is_good(call, rc, *n,
				   by_mids ? "mids must be given, as whole numbers"
					   : "users must be given; each is UTF-8 of at most 128 bytes, without control "
					     "characters");
}

/* One user by "mid" or "user". 0 or -EINVAL. */
static int read_user(const struct http_request *request, struct user *user)
{
	const char *mid = http_param(request, "mid"), *name = http_param(request, "user");
	long long number;

	if (mid != NULL && name == NULL && api_read_number(mid, 1, INT64_MAX, &number)) {
		*user = (struct user){.mid = number};
		return 0;
	}
	return mid == NULL && name != NULL && user_read(name, strlen(name), user) && user_is_somebody(user) ? 0
													    : -EINVAL;
}

bool api_v2_read_user_stream(struct api_call *call, char name[USER_STREAM_BYTES])
{
	struct user user;

	if (read_user(call->request, &user) < 0) {
		api_v2_reply_bad(call, "give mid, a number above 0, or user");
		return false;
	}
	(void)user_stream(&user, name);
	/* Which is in no room. */
	return http_guard_may_room(call->request, "", call->reply);
}

bool api_v2_read_stream(struct api_call *call, char name[USER_STREAM_BYTES])
{
	const struct http_request *request = call->request;
	const bool is_user = http_param(request, "mid") != NULL || http_param(request, "user") != NULL;

	if (!is_user)
		return api_v2_read_room(call, name);
	if (http_param(request, "type") == NULL && http_param(request, "room") == NULL)
		return api_v2_read_user_stream(call, name);
	api_v2_reply_bad(call, "give type and room, or mid, or user");
	return false;
}

bool api_v2_read_wait(struct api_call *call, struct upstream_query *query)
{
	static const struct api_number wait = {"wait", 0, 60000, "wait must be milliseconds from 0 to 60000"};
	const char *after = http_param(call->request, "after");
	long long wait_ms = 0;

	if (!api_v2_read_number(call, &wait, &wait_ms))
		return false;
	*query = (struct upstream_query){.after = api_v2_is_empty(after) ? "0" : after,
					 .max = API_NEWS_MAX,
					 .wait_ms = wait_ms,
					 .caller = call->request};
	return true;
}

/* Ten years. */
#define LONGEST_S (3650 * INT64_C(86400))

bool api_v2_read_span(const char *text, int64_t *ms)
{
	static const char units[] = "smhd";
	static const int64_t in_s[] = {1, 60, 3600, 86400};
	size_t digits = strspn(text, "0123456789");
	const char *unit = text[digits] != '\0' ? strchr(units, text[digits]) : units;
	int64_t n = strtoll(text, NULL, 10);

	if (digits == 0 || digits > 9 || unit == NULL || (text[digits] != '\0' && text[digits + 1] != '\0'))
		return false;
	*ms = n * in_s[unit - units] * 1000;
	return *ms > 0 && *ms <= LONGEST_S * 1000;
}

/* ---- paths ---- */

static void api_reload(struct api_call *call)
{
	call->targets = 0;
	call->code = http_reload(call->reply);
}

static const struct api_route routes[] = {
	{"POST", "/goim/push/keys", HTTP_PUSH_KEYS, api_push_keys, "?operation=1000&keys=KEY",
	 "operation! keys! tell offline Comet-Tell =message >Told"},
	{"POST", "/goim/push/mids", HTTP_PUSH_USERS, api_push_mids, "?operation=1000&mids=123  the body is the message",
	 "operation! mids! keep confirm positions tell offline Comet-Tell Idempotency-Key =message >Told"},
	{"POST", "/goim/push/users", HTTP_PUSH_USERS, api_push_users, "?operation=1000&users=NAME",
	 "operation! users! keep confirm positions tell offline Comet-Tell Idempotency-Key =message >Told"},
	{"POST", "/goim/push/room", HTTP_PUSH_ROOMS, api_push_room, "?operation=1000&type=live&room=1000",
	 "operation! type! room! keep tell Comet-Tell Idempotency-Key =message >Told"},
	{"POST", "/goim/push/all", HTTP_PUSH_ALL, api_push_all, "?operation=1000&speed=0", "operation! speed =message"},
	{"POST", "/goim/batch", HTTP_PUSH, api_batch, "  the body is a push a line, as JSON",
	 "=lines >lines >=BatchAnswer"},
	{"POST", "/goim/room/join", HTTP_PUSH_ROOMS, api_room_join,
	 "?type=chat&rooms=1&mids=123  or keys=KEY, users=NAME", "type! rooms! keys| mids| users| >Joined"},
	{"POST", "/goim/room/leave", HTTP_PUSH_ROOMS, api_room_leave, "?type=chat&rooms=1&mids=123",
	 "type! rooms! keys| mids| users| >Left"},
	{"POST", "/goim/kick", HTTP_KICK, api_kick,
	 "?mids=123  or keys=KEY, users=NAME; with &for=1h they stay out, as do networks=10.0.0.0/8",
	 "keys| mids| users| networks| for >Kicked"},
	{"GET", "/goim/bans", HTTP_KICK, api_bans, "", ">Bans"},
	{"DELETE", "/goim/bans", HTTP_KICK, api_bans_lift, "?mids=123  or users, keys, networks, tokens",
	 "keys| mids| users| networks| tokens|"},
	{"POST", "/goim/tokens/revoke", HTTP_KICK, api_tokens_revoke, "?mid=123&before=SECONDS",
	 "mid| user| before for"},
	{"POST", "/goim/reload", HTTP_ADMIN, api_reload, "  as SIGHUP: files and live settings are read again",
	 ">Reloaded"},
	{"POST", "/goim/trace", HTTP_ADMIN, api_trace, "?users=NAME&for=5m  or mids, keys: their steps go to the logs",
	 "keys| mids| users| for >Connections"},
	{"GET", "/goim/online/top", HTTP_ONLINE, api_online_top, "?type=live&limit=10", "type! limit! >Top"},
	{"GET", "/goim/online/room", HTTP_ONLINE, api_online_room, "?type=live&rooms=1000", "type! rooms! >Counts"},
	{"GET", "/goim/online/total", HTTP_ONLINE, api_online_total, "", ">Total"},
	{"GET", "/goim/online/users", HTTP_ONLINE, api_online_users,
	 "?mids=123  or users=NAME; with &detail=1 their connections",
	 "mids| users| detail limit after queued >UsersOnline"},
	{"GET", "/goim/connections", HTTP_ONLINE, api_connections,
	 "?limit=100&after=KEY  also keys=KEY, or type=live&room=1000",
	 "keys type room limit after queued >Connections"},
	{"GET", "/goim/room/members", HTTP_ONLINE, api_room_members, "?type=live&room=1000&limit=100&after=KEY",
	 "type! room! limit after queued >Members"},
	{"GET", "/goim/nodes/weighted", HTTP_ONLINE, api_nodes_weighted, "", "platform region >Weighted"},
	{"GET", "/goim/nodes/instances", HTTP_ONLINE, api_nodes_instances, "", ">Instances"},
	{"GET", "/goim/upstream", HTTP_UPSTREAM, api_upstream, "?after=0&wait=1000  what clients send to the back end",
	 "after wait >Upstream"},
	{"GET", "/goim/events", HTTP_EVENTS, api_events, "?after=0&wait=1000  who came and who went",
	 "after wait limit >Events"},
	{"GET", "/goim/stream", HTTP_STREAM, api_stream, "?type=chat&room=1&since=POSITION  or last=20",
	 "mid| user| type room since last >History"},
	{"GET", "/goim/stream/position", HTTP_STREAM, api_stream_position, "?type=chat&rooms=1  or mids=123",
	 "mids| users| type rooms >Counts"},
	{"POST", "/goim/stream/clear", HTTP_PUSH_ROOMS | HTTP_PUSH_USERS, api_stream_clear,
	 "?type=chat&room=1  or mid=123", "mid| user| type room"},
	{"GET", "/goim/stream/acks", HTTP_STREAM, api_stream_acks, "?mid=123  what a user's devices have confirmed",
	 "mid| user| >Acks"},
	{NULL, NULL, 0, NULL, NULL, NULL},
};

const struct api_dialect api_v2 = {
	.routes = routes, .wrong_method = wrong_method, .bad_params = bad_params, .in_body = true};
