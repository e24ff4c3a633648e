/* join_body: see join_body.h. SPDX-License-Identifier: MIT */
#include "comet/join_body.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/wire/message.h"
#include "common/wire/wire.h"

/* ---- reading ---- */

/* NULL: no room has such a name. jansson has seen to it that it is UTF-8. */
static const char *name_of(const json_t *value)
{
	const char *name = json_string_value(value);
	size_t n = json_string_length(value);

	if (name == NULL || n == 0 || n >= WIRE_ROOM_BYTES)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)name[i]))
			return NULL;
	return name;
}

/* 0: absent. False: it is no number of a push. */
static bool read_number(const json_t *member, uint64_t *out)
{
	*out = 0;
	if (member == NULL)
		return true;
	if (!json_is_integer(member) || json_integer_value(member) < 0 ||
	    json_integer_value(member) >= MESSAGE_NUMBERS_END)
		return false;
	*out = (uint64_t)json_integer_value(member);
	return true;
}

static void read_streams(const json_t *streams, struct join_streams *out)
{
	const json_t *user = json_object_get(streams, "user");
	const char *word = json_string_value(user);

	out->no_user = json_is_false(user);
	out->unacked = word != NULL && strcmp(word, "unacked") == 0;
	if (!read_number(user, &out->since))
		out->since = 0;
}

/* Most have not, and cost no reading. */
bool join_streams_asked(const void *token, size_t n, struct join_streams *out)
{
	static const char name[] = "\"streams\"";
	const json_t *streams;
	json_t *said;
	bool asked;

	*out = (struct join_streams){0};
	if (n == 0 || memmem(token, n, name, sizeof(name) - 1) == NULL)
		return false;
	said = json_read(token, n, 0);
	streams = json_object_get(said, "streams");
	if ((asked = json_is_object(streams)))
		read_streams(streams, out);
	json_decref(said);
	return asked;
}

static struct join_wish read_wish(const json_t *member)
{
	const json_t *ticket = json_object_get(member, "ticket");
	struct join_wish wish = {.room = name_of(json_object_get(member, "id")), .ticket = json_string_value(ticket)};

	if (wish.room == NULL)
		wish.wrong = "id";
	else if (!read_number(json_object_get(member, "since"), &wish.feed.since))
		wish.wrong = "since";
	else if (!read_number(json_object_get(member, "last"), &wish.feed.last))
		wish.wrong = "last";
	else if (ticket != NULL && (wish.ticket == NULL || strchr(wish.ticket, '\n') != NULL))
		wish.wrong = "ticket";
	return wish;
}

static struct join_wish read_name(const json_t *member)
{
	struct join_wish wish = {.room = name_of(member)};

	return wish;
}

/* 0, -EBADMSG or -ENOMEM, and what it has read stays the caller's to drop. */
static int read_rooms(struct join_ask *ask, struct join_wish (*read_one)(const json_t *), const char **wrong)
{
	const json_t *rooms = json_object_get(ask->object, "rooms");

	*wrong = ask->object == NULL ? "no JSON" : "rooms";
	if (!json_is_array(rooms))
		return -EBADMSG;
	ask->n = json_array_size(rooms);
	if (ask->n > 0 && (ask->rooms = calloc(ask->n, sizeof(*ask->rooms))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ask->n; i++)
		ask->rooms[i] = read_one(json_array_get(rooms, i));
	return 0;
}

static int read_ask(const void *body, size_t n, struct join_ask *out, struct join_wish (*read_one)(const json_t *),
		    const char **wrong)
{
	int rc;

	*out = (struct join_ask){.object = json_read(n > 0 ? body : "", n, 0)};
	rc = out->object == NULL && json_ran_out() ? -ENOMEM : read_rooms(out, read_one, wrong);
	if (rc < 0)
		join_ask_fini(out);
	return rc;
}

int join_read(const void *body, size_t n, struct join_ask *out, const char **wrong)
{
	return read_ask(body, n, out, read_wish, wrong);
}

int join_read_leave(const void *body, size_t n, struct join_ask *out, const char **wrong)
{
	return read_ask(body, n, out, read_name, wrong);
}

void join_ask_fini(struct join_ask *ask)
{
	free(ask->rooms);
	json_decref(ask->object);
	*ask = (struct join_ask){0};
}

/* ---- writing ---- */

/* The object, which is dropped, as the body of a message. NULL: there was no memory for it. */
static int write_message(int32_t op, int32_t seq, json_t *object, struct message **out)
{
	char *text;
	size_t n;
	int rc = -ENOMEM;

	if (object != NULL && (text = json_write(object, 0, &n)) != NULL) {
		rc = message_answer(op, seq, text, (uint32_t)n, out);
		free(text);
	}
	json_decref(object);
	return rc;
}

/* With another member, which it takes. NULL: no memory. */
static json_t *with(json_t *object, const char *name, json_t *value)
{
	if (object != NULL && json_object_set_new(object, name, value) == 0)
		return object;
	if (object == NULL)
		json_decref(value);
	json_decref(object);
	return NULL;
}

/* With "id", if the member had a string there: who asked for more than one room finds his. */
static json_t *result_of(const json_t *asked, const struct join_outcome *r)
{
	json_t *id = json_object_get(asked, "id"), *o = json_object();

	if (json_is_string(id))
		o = with(o, "id", json_incref(id));
	if (r->error != 0) {
		o = with(o, "error", json_integer(r->error));
		o = with(o, "reason", json_string(r->reason));
		return r->retry_ms < 0 ? o : with(o, "retry_ms", json_integer(r->retry_ms));
	}
	o = with(o, "at", json_integer((json_int_t)r->place.at));
	o = with(o, "gap", json_boolean(r->place.gap));
	o = with(o, "replay", json_integer(r->place.replay));
	return r->place.gap ? with(o, "reload_ms", json_integer(r->reload_ms)) : o;
}

size_t join_welcome(char text[JOIN_WELCOME_BYTES], const struct config *cfg, const struct join_outcome *own)
{
	char reload[40] = "", user[128] = "";

	if (own != NULL && own->place.gap)
		(void)snprintf(reload, sizeof(reload), ",\"reload_ms\":%lld", (long long)own->reload_ms);
	if (own != NULL)
		(void)snprintf(user, sizeof(user), ",\"user\":{\"at\":%llu,\"gap\":%s,\"replay\":%u%s}",
			       (unsigned long long)own->place.at, own->place.gap ? "true" : "false", own->place.replay,
			       reload);
	return (size_t)snprintf(text, JOIN_WELCOME_BYTES, "{\"v\":1,\"max_body\":%lld,\"max_rooms\":%lld%s}",
				(long long)cfg->protocol_max_body, (long long)cfg->limits_rooms, user);
}

int join_answer(const struct join_ask *ask, const struct join_outcome *outcomes, int32_t seq, struct message **out)
{
	const json_t *asked = json_object_get(ask->object, "rooms");
	json_t *rooms = json_array();

	for (size_t i = 0; rooms != NULL && i < ask->n; i++)
		if (json_array_append_new(rooms, result_of(json_array_get(asked, i), &outcomes[i])) < 0) {
			json_decref(rooms);
			rooms = NULL;
		}
	return write_message(OP_JOIN_REPLY, seq, with(json_object(), "rooms", rooms), out);
}

int join_answer_wrong(int32_t op, const char *wrong, int32_t seq, struct message **out)
{
	return write_message(op, seq,
			     with(with(json_object(), "error", json_integer(400)), "reason", json_string(wrong)), out);
}

int join_answer_left(size_t n, int32_t seq, struct message **out)
{
	return write_message(OP_LEAVE_REPLY, seq, with(json_object(), "rooms", json_integer((json_int_t)n)), out);
}

int join_notice_gap(const char *room, uint64_t at, int64_t reload_ms, struct message **out)
{
	json_t *o;
	int rc;

	json_watch();
	o = with(json_object(), "room", json_string(room));
	o = with(o, "at", json_integer((json_int_t)at));
	o = with(o, "gap", json_true());
	o = with(o, "reload_ms", json_integer(reload_ms));
	if ((rc = write_message(OP_NOTICE, 0, o, out)) < 0)
		return rc;
	(*out)->number = at;
	(*out)->notice = true;
	return 0;
}

int join_notice_led(const char *room, uint64_t at, struct message **out)
{
	json_t *o;

	json_watch();
	o = with(json_object(), "room", json_string(room));
	o = with(o, "at", json_integer((json_int_t)at));
	return write_message(OP_NOTICE, 0, with(o, "by", json_string("server")), out);
}

int join_notice_left(const char *room, const char *why, struct message **out)
{
	json_t *o;

	json_watch();
	o = with(json_object(), "room", json_string(room));
	return write_message(OP_NOTICE, 0, with(o, "left", json_string(why)), out);
}
