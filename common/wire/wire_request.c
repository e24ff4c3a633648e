/* wire_request: see wire.h; the JSON of requests. Pure functions. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/wire/wire.h"
#include "common/wire/wire_json.h"
#include "common/wire/wire_text.h"
#include "common/wire/wire_user.h"

static const char *const methods[WIRE_METHODS] = {
	[WIRE_CONNECT] = "connect",     [WIRE_DISCONNECT] = "disconnect",
	[WIRE_HEARTBEAT] = "heartbeat", [WIRE_RENEW_ONLINE] = "renew_online",
	[WIRE_RECEIVE] = "receive",     [WIRE_REAUTH] = "reauth",
	[WIRE_PERMIT] = "permit",
};

/* ---- writing ---- */

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
	    (connect->needs_proof && json_object_set_new(object, "proof", json_true()) < 0) ||
	    (connect->new_key != NULL && json_object_set_new(object, "new_key", json_string(connect->new_key)) < 0))
		return -ENOMEM;
	if (connect->certified != NULL &&
	    (json_object_set_new(object, "certified", json_string(connect->certified)) < 0 ||
	     json_object_set_new(object, "certified_ms", json_integer(connect->certified_ms)) < 0))
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
		rc = wire_json_set_rooms(object, r->rooms, r->n_rooms);
	return wire_json_write(object, rc, text, bytes);
}

/* ---- reading ---- */

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

	if (!wire_json_integer(object, "op", INT32_MIN, INT32_MAX, &op) ||
	    !wire_json_integer(object, "ver", INT16_MIN, INT16_MAX, &ver) ||
	    !wire_json_integer(object, "seq", INT32_MIN, INT32_MAX, &seq))
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

	if (!wire_json_string(object, "key", WIRE_KEY_BYTES, &out->key) || out->key[0] == '\0' ||
	    !wire_json_integer(object, "session", 0, INT64_MAX, &id) || !wire_user_get(object, &out->user))
		return -EBADMSG;
	out->session_id = (uint64_t)id;
	return 0;
}

static int get_connect(const json_t *object, struct wire_request *out)
{
	if (!wire_json_string(object, "peer", WIRE_TEXT_BYTES, &out->connect.peer))
		return -EBADMSG;
	out->connect.needs_proof = json_is_true(json_object_get(object, "proof"));
	if (json_object_get(object, "certified") != NULL &&
	    (!wire_json_string(object, "certified", USER_BYTES, &out->connect.certified) ||
	     !wire_json_integer(object, "certified_ms", 0, INT64_MAX, &out->connect.certified_ms)))
		return -EBADMSG;
	if (json_object_get(object, "new_key") != NULL &&
	    (!wire_json_string(object, "new_key", WIRE_KEY_BYTES, &out->connect.new_key) ||
	     out->connect.new_key[0] == '\0'))
		return -EBADMSG;
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
			rc = wire_json_rooms(object, &out->rooms, &out->n_rooms, &out->owned[2]);
		return rc;
	case WIRE_RENEW_ONLINE:
		if (!wire_json_integer(object, "connections", 0, INT64_MAX, &out->load.connections) ||
		    !wire_json_integer(object, "addresses", 0, INT64_MAX, &out->load.addresses))
			return -EBADMSG;
		return wire_json_rooms(object, &out->rooms, &out->n_rooms, &out->owned[1]);
	default:
		rc = get_seat(object, &out->seat);
		return rc == 0 && out->method == WIRE_RECEIVE ? get_packet(object, &out->packet, &out->owned[1]) : rc;
	}
}

int wire_request_decode(const char *text, size_t bytes, struct wire_request *out)
{
	json_t *object;
	int rc = wire_json_load(text, bytes, &object);
	const char *method;

	*out = (struct wire_request){.id = "", .server = "", .reply = "", .seat.key = "", .owned = {object}};
	if (rc < 0)
		return rc;
	if (!wire_json_string(object, "id", WIRE_TEXT_BYTES, &out->id) ||
	    !wire_json_string(object, "method", WIRE_TEXT_BYTES, &method) ||
	    !wire_json_string(object, "server", WIRE_TEXT_BYTES, &out->server) || out->server[0] == '\0' ||
	    !wire_json_string(object, "reply", WIRE_KEY_BYTES, &out->reply) ||
	    !wire_json_integer(object, "expires", 0, INT64_MAX, &out->connect.expires_ms))
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
