/* wire_reply: see wire.h; the JSON of replies. Pure functions. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/utf8.h"
#include "common/wire/wire.h"
#include "common/wire/wire_json.h"
#include "common/wire/wire_user.h"

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

/* Of a connect. */
static int set_newcomer(json_t *object, const struct wire_session *s)
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
	    (s->key_is_made && json_object_set_new(object, "key_is_made", json_true()) < 0) ||
	    wire_user_set(object, &seat.user) < 0)
		rc = -ENOMEM;
	json_decref(more);
	return rc;
}

/* Of each method what it has. */
static int set_reply_session(json_t *object, const struct wire_session *s)
{
	int rc = s->key[0] != '\0' ? set_newcomer(object, s) : 0;

	if (rc == 0)
		rc = set_integer_if(object, "expires_in_ms", s->lifetime_ms);
	if (rc == 0)
		rc = set_integer_if(object, "issued", s->issued_s);
	if (rc == 0)
		rc = set_integer_if(object, "written", (int64_t)s->written);
	if (rc == 0 && s->grants != NULL && json_object_set_new(object, "grants", grants_write(s->grants)) < 0)
		rc = -ENOMEM;
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
	if (rc == 0 && reply->rc == 0)
		rc = set_reply_session(object, &reply->session);
	if (rc == 0 && reply->rooms != NULL)
		rc = wire_json_set_rooms(object, reply->rooms, reply->n_rooms);
	if (rc == 0 && reply->cluster != NULL &&
	    json_object_set_new(object, "cluster", json_string(reply->cluster)) < 0)
		rc = -ENOMEM;
	return wire_json_write(object, rc, text, bytes);
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

	if (!wire_json_string(object, "key", sizeof(s->key), &key) ||
	    !wire_json_string(object, "room", sizeof(s->room), &room) ||
	    !wire_json_integer(object, "session", 0, INT64_MAX, &id) || !wire_user_get(object, &user) ||
	    !wire_json_integer(object, "dialect", 0, DIALECT_V1_JSON, &dialect) ||
	    !wire_json_integer(object, "heartbeat_ms", 0, INT64_MAX / 1000000, &s->heartbeat_ms) ||
	    !wire_json_integer(object, "expires_in_ms", 0, INT64_MAX, &s->lifetime_ms) ||
	    !wire_json_integer(object, "issued", 0, INT64_MAX, &s->issued_s) ||
	    !wire_json_integer(object, "written", 0, INT64_MAX, &written))
		return -EBADMSG;
	s->mid = user.mid;
	(void)snprintf(s->name, sizeof(s->name), "%s", user.name != NULL ? user.name : "");
	(void)snprintf(s->key, sizeof(s->key), "%s", key);
	(void)snprintf(s->room, sizeof(s->room), "%s", room);
	s->id = (uint64_t)id;
	s->written = (uint64_t)written;
	s->takes_over = json_is_true(json_object_get(object, "takes_over"));
	s->key_is_made = json_is_true(json_object_get(object, "key_is_made"));
	s->dialect = dialect == 0 ? DIALECT_V2 : (enum dialect)dialect;
	rc = get_accepts(object, s);
	return rc == 0 ? grants_read_object(json_object_get(object, "grants"), &s->grants) : rc;
}

int wire_reply_decode(const char *text, size_t bytes, struct wire_reply *out)
{
	json_t *object;
	int rc = wire_json_load(text, bytes, &object);
	const char *message, *refused;
	int64_t code;

	*out = (struct wire_reply){.id = "", .owned = {object}};
	if (rc < 0)
		return rc;
	if (!wire_json_string(object, "id", WIRE_TEXT_BYTES, &out->id) || out->id[0] == '\0' ||
	    json_object_get(object, "code") == NULL || !wire_json_integer(object, "code", 0, 999, &code) ||
	    !wire_json_string(object, "message", SIZE_MAX, &message) ||
	    !wire_json_string(object, "refused", SIZE_MAX, &refused) ||
	    !wire_json_string(object, "cluster", WIRE_TEXT_BYTES, &out->cluster))
		return -EBADMSG;
	out->rc = get_rc(code, refused);
	utf8_copy(out->session.refusal, sizeof(out->session.refusal), message);
	if (out->rc < 0)
		return 0;
	if ((rc = get_reply_session(object, &out->session)) < 0)
		return rc;
	return wire_json_rooms(object, &out->rooms, &out->n_rooms, &out->owned[1]);
}

void wire_reply_fini(struct wire_reply *reply)
{
	json_decref(reply->owned[0]);
	free(reply->owned[1]);
	free(reply->session.accepts);
	grants_free(&reply->session.grants);
	*reply = (struct wire_reply){0};
}
