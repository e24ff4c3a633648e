/* wire: see wire.h; the JSON of requests and replies (the entries of streams: wire_entry.c). Pure functions.
 * SPDX-License-Identifier: MIT */
#include "common/wire/wire.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/utf8.h"
#include "common/wire/wire_text.h"
#include "common/wire/wire_user.h"

/* The text of a comet with its largest number of rooms; more is no message of ours. */
#define TEXT_MAX (32u << 20)

static const char *const methods[WIRE_METHODS] = {
	[WIRE_CONNECT] = "connect",     [WIRE_DISCONNECT] = "disconnect",
	[WIRE_HEARTBEAT] = "heartbeat", [WIRE_RENEW_ONLINE] = "renew_online",
	[WIRE_RECEIVE] = "receive",     [WIRE_REAUTH] = "reauth",
	[WIRE_PERMIT] = "permit",
};

/* ---- reading members ---- */

/* A string without zero bytes, shorter than `space` bytes; absent: "". False: it is no such string. */
static bool get_string(const json_t *object, const char *name, size_t space, const char **out)
{
	const json_t *value = json_object_get(object, name);

	*out = "";
	if (value == NULL)
		return true;
	if (!json_is_string(value) || json_string_length(value) >= space)
		return false;
	*out = json_string_value(value);
	return strlen(*out) == json_string_length(value);
}

/* An integer between min and max; absent: 0. */
static bool get_integer(const json_t *object, const char *name, int64_t min, int64_t max, int64_t *out)
{
	const json_t *value = json_object_get(object, name);

	*out = 0;
	if (value == NULL)
		return true;
	if (!json_is_integer(value))
		return false;
	*out = json_integer_value(value);
	return *out >= min && *out <= max;
}

static json_t *load_object(const char *text, size_t bytes)
{
	json_t *json = bytes <= TEXT_MAX ? json_read(text, bytes, JSON_REJECT_DUPLICATES) : NULL;

	if (json != NULL && !json_is_object(json)) {
		json_decref(json);
		json = NULL;
	}
	return json;
}

/* {"room": count, ...} as a list that points into it. */
static int get_rooms(const json_t *object, const struct wire_room_count **out, size_t *n, void **owned)
{
	json_t *rooms = json_object_get(object, "rooms");
	struct wire_room_count *list;
	const char *room;
	json_t *value;

	*n = 0;
	if (rooms == NULL)
		return 0;
	if (!json_is_object(rooms))
		return -EBADMSG;
	if ((list = calloc(json_object_size(rooms) + 1, sizeof(*list))) == NULL)
		return -ENOMEM;
	*owned = list;
	*out = list;
	json_object_foreach(rooms, room, value)
	{
		if (!json_is_integer(value) || strlen(room) >= WIRE_ROOM_BYTES)
			return -EBADMSG;
		list[(*n)++] = (struct wire_room_count){room, json_integer_value(value)};
	}
	return 0;
}

/* ---- writing members ---- */

static int set_rooms(json_t *object, const struct wire_room_count *rooms, size_t n)
{
	json_t *all = json_object();

	if (all == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		json_t *name = json_string(rooms[i].room);

		/* A client may name a room in any bytes; JSON cannot carry those that are not UTF-8. */
		if (name == NULL)
			continue;
		json_decref(name);
		if (json_object_set_new(all, rooms[i].room, json_integer(rooms[i].count)) < 0) {
			json_decref(all);
			return -ENOMEM;
		}
	}
	return json_object_set_new(object, "rooms", all) < 0 ? -ENOMEM : 0;
}

static int dump(json_t *object, int rc, char **text, size_t *bytes)
{
	*text = rc == 0 ? json_write(object, 0, bytes) : NULL;
	json_decref(object);
	return *text != NULL ? 0 : -ENOMEM;
}

/* ---- requests ---- */

static int set_seat(json_t *object, const struct seat *seat)
{
	if (json_object_set_new(object, "key", json_string(seat->key)) < 0 ||
	    json_object_set_new(object, "session", json_integer((json_int_t)seat->session_id)) < 0 ||
	    json_object_set_new(object, "mid", json_integer(seat->user.mid)) < 0)
		return -ENOMEM;
	return wire_user_set(object, &seat->user);
}

static int set_upgrade(json_t *object, const struct upgrade *u)
{
	int rc = 0;

	if (u->query_bytes > 0)
		rc = wire_text_set(object, "query", u->query, u->query_bytes);
	if (rc == 0 && u->headers_bytes > 0)
		rc = wire_text_set(object, "headers", u->headers, u->headers_bytes);
	return rc;
}

static int set_connect(json_t *object, const struct wire_connect *connect)
{
	int rc;

	if (json_object_set_new(object, "peer", json_string(connect->peer)) < 0 ||
	    (connect->needs_proof && json_object_set_new(object, "proof", json_true()) < 0))
		return -ENOMEM;
	rc = wire_text_set(object, "token", connect->token, connect->token_bytes);
	return rc == 0 ? set_upgrade(object, &connect->upgrade) : rc;
}

static int set_packet(json_t *object, const struct packet *p)
{
	if (json_object_set_new(object, "op", json_integer(p->op)) < 0 ||
	    json_object_set_new(object, "ver", json_integer(p->ver)) < 0 ||
	    json_object_set_new(object, "seq", json_integer(p->seq)) < 0)
		return -ENOMEM;
	return wire_text_set(object, "body", p->body, p->body_bytes);
}

static int set_load(json_t *object, const struct wire_load *load)
{
	bool ok = json_object_set_new(object, "connections", json_integer(load->connections)) == 0 &&
		  json_object_set_new(object, "addresses", json_integer(load->addresses)) == 0;

	return ok ? 0 : -ENOMEM;
}

int wire_request_encode(const struct wire_request *r, char **text, size_t *bytes)
{
	json_t *object;
	int rc = 0;

	json_watch();
	object = json_pack("{s:s, s:s, s:s, s:s, s:I}", "id", r->id, "method", methods[r->method], "server", r->server,
			   "reply", r->reply, "expires", (json_int_t)r->connect.expires_ms);
	if (object == NULL)
		return -ENOMEM;
	if (r->method == WIRE_CONNECT)
		rc = set_connect(object, &r->connect);
	else if (r->method == WIRE_RENEW_ONLINE)
		rc = set_load(object, &r->load);
	else
		rc = set_seat(object, &r->seat);
	if (rc == 0 && (r->method == WIRE_REAUTH || r->method == WIRE_PERMIT))
		rc = set_connect(object, &r->connect);
	if (rc == 0 && r->method == WIRE_RECEIVE)
		rc = set_packet(object, &r->packet);
	if (rc == 0 && (r->method == WIRE_RENEW_ONLINE || r->method == WIRE_PERMIT))
		rc = set_rooms(object, r->rooms, r->n_rooms);
	return dump(object, rc, text, bytes);
}

static int method_of(const char *name)
{
	for (int i = 0; i < WIRE_METHODS; i++)
		if (strcmp(methods[i], name) == 0)
			return i;
	return -EBADMSG;
}

static int get_packet(const json_t *object, struct packet *p, void **owned)
{
	const uint8_t *body;
	int64_t op, ver, seq;
	size_t n;
	int rc;

	if (!get_integer(object, "op", INT32_MIN, INT32_MAX, &op) ||
	    !get_integer(object, "ver", INT16_MIN, INT16_MAX, &ver) ||
	    !get_integer(object, "seq", INT32_MIN, INT32_MAX, &seq))
		return -EBADMSG;
	if ((rc = wire_text_get(object, "body", &body, &n, owned)) < 0)
		return rc;
	*p = (struct packet){.op = (int32_t)op,
			     .ver = (int16_t)ver,
			     .seq = (int32_t)seq,
			     .body = (uint8_t *)(uintptr_t)body,
			     .body_bytes = (uint32_t)n};
	return 0;
}

static int get_seat(const json_t *object, struct seat *out)
{
	int64_t id;

	if (!get_string(object, "key", WIRE_KEY_BYTES, &out->key) || out->key[0] == '\0' ||
	    !get_integer(object, "session", 0, INT64_MAX, &id) || !wire_user_get(object, &out->user))
		return -EBADMSG;
	out->session_id = (uint64_t)id;
	return 0;
}

static int get_connect(const json_t *object, struct wire_request *out)
{
	if (!get_string(object, "peer", WIRE_TEXT_BYTES, &out->connect.peer))
		return -EBADMSG;
	out->connect.needs_proof = json_is_true(json_object_get(object, "proof"));
	return wire_text_get(object, "token", &out->connect.token, &out->connect.token_bytes, &out->owned[1]);
}

static int get_upgrade(const json_t *object, struct wire_request *out)
{
	struct upgrade *u = &out->connect.upgrade;
	const uint8_t *query, *headers;
	int rc;

	if ((rc = wire_text_get(object, "query", &query, &u->query_bytes, &out->owned[2])) < 0 ||
	    (rc = wire_text_get(object, "headers", &headers, &u->headers_bytes, &out->owned[3])) < 0)
		return rc;
	u->query = (const char *)query;
	u->headers = (const char *)headers;
	return u->query_bytes + u->headers_bytes <= UPGRADE_BYTES ? 0 : -EBADMSG;
}

static int get_method(const json_t *object, struct wire_request *out)
{
	int rc;

	switch (out->method) {
	case WIRE_CONNECT:
		rc = get_connect(object, out);
		return rc == 0 ? get_upgrade(object, out) : rc;
	case WIRE_REAUTH:
		rc = get_seat(object, &out->seat);
		return rc == 0 ? get_connect(object, out) : rc;
	case WIRE_PERMIT:
		if ((rc = get_seat(object, &out->seat)) == 0 && (rc = get_connect(object, out)) == 0)
			rc = get_rooms(object, &out->rooms, &out->n_rooms, &out->owned[2]);
		return rc;
	case WIRE_RENEW_ONLINE:
		if (!get_integer(object, "connections", 0, INT64_MAX, &out->load.connections) ||
		    !get_integer(object, "addresses", 0, INT64_MAX, &out->load.addresses))
			return -EBADMSG;
		return get_rooms(object, &out->rooms, &out->n_rooms, &out->owned[1]);
	default:
		rc = get_seat(object, &out->seat);
		return rc == 0 && out->method == WIRE_RECEIVE ? get_packet(object, &out->packet, &out->owned[1]) : rc;
	}
}

int wire_request_decode(const char *text, size_t bytes, struct wire_request *out)
{
	json_t *object = load_object(text, bytes);
	const char *method;
	int rc;

	*out = (struct wire_request){.id = "", .server = "", .reply = "", .seat.key = "", .owned = {object}};
	if (object == NULL)
		return bytes <= TEXT_MAX && json_ran_out() ? -ENOMEM : -EBADMSG;
	if (!get_string(object, "id", WIRE_TEXT_BYTES, &out->id) ||
	    !get_string(object, "method", WIRE_TEXT_BYTES, &method) ||
	    !get_string(object, "server", WIRE_TEXT_BYTES, &out->server) || out->server[0] == '\0' ||
	    !get_string(object, "reply", WIRE_KEY_BYTES, &out->reply) ||
	    !get_integer(object, "expires", 0, INT64_MAX, &out->connect.expires_ms))
		return -EBADMSG;
	if ((rc = method_of(method)) < 0)
		return rc;
	out->method = (enum wire_method)rc;
	return get_method(object, out);
}

void wire_request_fini(struct wire_request *request)
{
	json_decref(request->owned[0]);
	for (size_t i = 1; i < sizeof(request->owned) / sizeof(request->owned[0]); i++)
		free(request->owned[i]);
	*request = (struct wire_request){0};
}

/* ---- replies ---- */

/* The numbers in "code" are those of HTTP, since everybody knows them. */
static int code_of(int rc)
{
	switch (-rc) {
	case 0:
		return 0;
	case ERR_REFUSED:
	case ERR_BANNED:
	case ERR_PER_USER:
		return 403;
	default:
		return 503;
	}
}

/* Beside 403, for comets that know them. */
static const char *refusal_of(int rc)
{
	return rc == -ERR_BANNED ? "banned" : rc == -ERR_PER_USER ? "per_user" : NULL;
}

static int get_rc(int64_t code, const char *refusal)
{
	if (code == 0)
		return 0;
	if (code != 403)
		return -ERR_NO_LOGIC;
	if (strcmp(refusal, "banned") == 0)
		return -ERR_BANNED;
	return strcmp(refusal, "per_user") == 0 ? -ERR_PER_USER : -ERR_REFUSED;
}

static int set_integer_if(json_t *object, const char *name, int64_t value)
{
	return value == 0 || json_object_set_new(object, name, json_integer(value)) == 0 ? 0 : -ENOMEM;
}

static int set_reply_session(json_t *object, const struct wire_session *s)
{
	const struct seat seat = wire_session_seat(s);
	json_t *accepts = json_array(), *more;
	int rc = accepts != NULL ? 0 : -ENOMEM;

	for (size_t i = 0; i < s->n_accepts && rc == 0; i++)
		if (json_array_append_new(accepts, json_integer(s->accepts[i])) < 0)
			rc = -ENOMEM;
	more = json_pack("{s:s, s:I, s:I, s:s, s:i, s:I, s:o}", "key", s->key, "session", (json_int_t)s->id, "mid",
			 (json_int_t)s->mid, "room", s->room, "dialect", (int)s->dialect, "heartbeat_ms",
			 (json_int_t)s->heartbeat_ms, "accepts", accepts);
	if (more == NULL || json_object_update(object, more) < 0 ||
	    (s->takes_over && json_object_set_new(object, "takes_over", json_true()) < 0) ||
	    wire_user_set(object, &seat.user) < 0)
		rc = -ENOMEM;
	json_decref(more);
	return rc;
}

int wire_reply_encode(const struct wire_reply *reply, char **text, size_t *bytes)
{
	json_t *object;
	int rc = 0;

	json_watch();
	object = json_pack("{s:s, s:i}", "id", reply->id, "code", code_of(reply->rc));
	if (object == NULL)
		return -ENOMEM;
	if (refusal_of(reply->rc) != NULL &&
	    json_object_set_new(object, "refused", json_string(refusal_of(reply->rc))) < 0)
		rc = -ENOMEM;
	if (reply->rc < 0 && reply->session.refusal[0] != '\0')
		/* Words of a webhook may be in any bytes; without them the code says enough. */
		(void)json_object_set_new(object, "message", json_string(reply->session.refusal));
	if (rc == 0 && reply->rc == 0 && reply->session.key[0] != '\0')
		rc = set_reply_session(object, &reply->session);
	if (rc == 0 && reply->rc == 0)
		rc = set_integer_if(object, "expires_in_ms", reply->session.lifetime_ms);
	if (rc == 0 && reply->rc == 0)
		rc = set_integer_if(object, "issued", reply->session.issued_s);
	if (rc == 0 && reply->rc == 0 && reply->session.written > 0 &&
	    json_object_set_new(object, "written", json_integer((json_int_t)reply->session.written)) < 0)
		rc = -ENOMEM;
	if (rc == 0 && reply->rc == 0 && reply->session.grants != NULL &&
	    json_object_set_new(object, "grants", grants_write(reply->session.grants)) < 0)
		rc = -ENOMEM;
	if (rc == 0 && reply->rooms != NULL)
		rc = set_rooms(object, reply->rooms, reply->n_rooms);
	if (rc == 0 && reply->cluster != NULL &&
	    json_object_set_new(object, "cluster", json_string(reply->cluster)) < 0)
		rc = -ENOMEM;
	return dump(object, rc, text, bytes);
}

static int get_accepts(const json_t *object, struct wire_session *s)
{
	const json_t *accepts = json_object_get(object, "accepts");
	size_t n = json_array_size(accepts);

	if (accepts == NULL)
		return 0;
	if (!json_is_array(accepts) || n > WIRE_ACCEPTS_MAX)
		return -EBADMSG;
	if (n == 0)
		return 0;
	if ((s->accepts = calloc(n, sizeof(*s->accepts))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *op = json_array_get(accepts, i);
		int64_t value = json_integer_value(op);

		if (!json_is_integer(op) || value < INT32_MIN || value > INT32_MAX)
			return -EBADMSG;
		s->accepts[s->n_accepts++] = (int32_t)value;
	}
	return 0;
}

static int get_reply_session(const json_t *object, struct wire_session *s)
{
	const char *key, *room;
	struct user user;
	int64_t id, dialect, written;
	int rc;

	if (!get_string(object, "key", sizeof(s->key), &key) || !get_string(object, "room", sizeof(s->room), &room) ||
	    !get_integer(object, "session", 0, INT64_MAX, &id) || !wire_user_get(object, &user) ||
	    !get_integer(object, "dialect", 0, DIALECT_V1_JSON, &dialect) ||
	    !get_integer(object, "heartbeat_ms", 0, INT64_MAX / 1000000, &s->heartbeat_ms) ||
	    !get_integer(object, "expires_in_ms", 0, INT64_MAX, &s->lifetime_ms) ||
	    !get_integer(object, "issued", 0, INT64_MAX, &s->issued_s) ||
	    !get_integer(object, "written", 0, INT64_MAX, &written))
		return -EBADMSG;
	s->mid = user.mid;
	(void)snprintf(s->name, sizeof(s->name), "%s", user.name != NULL ? user.name : "");
	(void)snprintf(s->key, sizeof(s->key), "%s", key);
	(void)snprintf(s->room, sizeof(s->room), "%s", room);
	s->id = (uint64_t)id;
	s->written = (uint64_t)written;
	s->takes_over = json_is_true(json_object_get(object, "takes_over"));
	s->dialect = dialect == 0 ? DIALECT_V2 : (enum dialect)dialect;
	rc = get_accepts(object, s);
	return rc == 0 ? grants_read_object(json_object_get(object, "grants"), &s->grants) : rc;
}

int wire_reply_decode(const char *text, size_t bytes, struct wire_reply *out)
{
	json_t *object = load_object(text, bytes);
	const char *message, *refused;
	int64_t code;
	int rc;

	*out = (struct wire_reply){.id = "", .owned = {object}};
	if (object == NULL)
		return bytes <= TEXT_MAX && json_ran_out() ? -ENOMEM : -EBADMSG;
	if (!get_string(object, "id", WIRE_TEXT_BYTES, &out->id) || out->id[0] == '\0' ||
	    json_object_get(object, "code") == NULL || !get_integer(object, "code", 0, 999, &code) ||
	    !get_string(object, "message", SIZE_MAX, &message) || !get_string(object, "refused", SIZE_MAX, &refused) ||
	    !get_string(object, "cluster", WIRE_TEXT_BYTES, &out->cluster))
		return -EBADMSG;
	out->rc = get_rc(code, refused);
	utf8_copy(out->session.refusal, sizeof(out->session.refusal), message);
	if (out->rc < 0)
		return 0;
	if ((rc = get_reply_session(object, &out->session)) < 0)
		return rc;
	return get_rooms(object, &out->rooms, &out->n_rooms, &out->owned[1]);
}

void wire_reply_fini(struct wire_reply *reply)
{
	json_decref(reply->owned[0]);
	free(reply->owned[1]);
	free(reply->session.accepts);
	grants_free(&reply->session.grants);
	*reply = (struct wire_reply){0};
}
