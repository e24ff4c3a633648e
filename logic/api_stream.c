/* api_stream: /goim/stream: the numbered streams of rooms. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "common/http/http_guard.h"
#include "common/wire/message.h"
#include "logic/api_v2.h"

/* Rooms of one call of /goim/stream/position. */
#define ROOMS_MAX 100

/* ---- parameters ---- */

/* A parameter that is a number, and what it must be. */
struct number {
	const char *name, *words;
};

/* It, or 0 where it is not given. False: the caller was told. */
static bool read_number(struct api_call *call, const struct number *number, uint64_t *out)
{
	const char *text = http_param(call->request, number->name);
	long long value = 0;

	if (text != NULL && !api_read_number(text, 0, MESSAGE_NUMBERS_END - 1, &value)) {
		api_v2_reply_bad(call, number->words);
		return false;
	}
	*out = (uint64_t)value;
	return true;
}

/* rc is not 0. */
static void reply_failure(struct api_call *call, int rc)
{
	if (rc != -EBUSY) {
		api_v2_reply_result(call, rc);
		return;
	}
	call->code = -429;
	api_reply_json(call, 429,
		       json_pack("{s:i,s:s}", "code", -429, "message",
				 "too many rooms that have no number were asked for; try again (stream.new)"));
}

/* ---- a history ---- */

static json_t *describe_message(const struct message *m)
{
	json_t *described = json_pack("{s:I,s:i}", "n", (json_int_t)m->number, "op", (int)m->op);

	api_v2_set_body(described, message_body(m), m->body_bytes);
	return described;
}

static void reply_history(struct api_call *call, const struct histories_found *found)
{
	json_t *list = json_array();

	for (size_t i = 0; i < found->n; i++)
		(void)json_array_append_new(list, describe_message(found->messages[i]));
	api_v2_reply_data(call, json_pack("{s:I,s:I,s:b,s:o}", "at", (json_int_t)found->at, "newest",
					  (json_int_t)found->newest, "gap", (int)found->gap, "messages", list));
}

void api_stream(struct api_call *call)
{
	static const struct number since = {"since", "since must be a position: a whole number from 0 to 2^53 - 1"};
	static const struct number last = {"last", "last must be a whole number, 0 or more"};
	char room[WIRE_ROOM_BYTES];
	struct histories_query query = {.room = room};
	struct histories_found found = {0};
	int rc = 0;

	if (!api_v2_read_room(call, room) || !read_number(call, &since, &query.since) ||
	    !read_number(call, &last, &query.last))
		return;
	/* 0 is the position of those who have had nothing yet. */
	if (query.since == 0 && http_param(call->request, "last") == NULL)
		query.last = MESSAGE_NUMBERS_END; /* all */
	if (logic_keeps(call->logic, room))
		rc = call->logic->histories.read(call->logic->histories.self, &query, &found);
	else
		found.gap = query.since > 0; /* nothing is known of it */
	if (rc < 0) {
		reply_failure(call, rc);
		return;
	}
	reply_history(call, &found);
	histories_found_fini(&found);
}

/* ---- positions ---- */

/* Those of `rooms` that are kept, as room ids in `keys`, which `kept` points to. How many; -EINVAL, -EACCES: the caller was told. */
static int read_rooms(struct api_call *call, const char *const *rooms, size_t n, char (*keys)[WIRE_ROOM_BYTES],
		      const char **kept)
{
	const char *type = http_param(call->request, "type");
	int n_kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (!api_v2_room_key(type, rooms[i], keys[i])) {
			api_v2_reply_bad(call, "type and room are too long");
			return -EINVAL;
		}
		if (!http_guard_may_room(call->request, keys[i], call->reply))
			return -EACCES;
		if (logic_keeps(call->logic, keys[i]))
			kept[n_kept++] = keys[i];
	}
	return n_kept;
}

static void reply_positions(struct api_call *call, char (*keys)[WIRE_ROOM_BYTES], size_t n, const char *const *kept,
			    const uint64_t *numbers, size_t n_kept)
{
	json_t *data = json_object();

	for (size_t i = 0; i < n; i++)
		(void)json_object_set_new(data, keys[i], json_integer(0));
	for (size_t i = 0; i < n_kept; i++)
		(void)json_object_set_new(data, kept[i], json_integer((json_int_t)numbers[i]));
	api_v2_reply_data(call, data);
}

static void tell_positions(struct api_call *call, const char *const *rooms, size_t n)
{
	char(*keys)[WIRE_ROOM_BYTES] = calloc(n, sizeof(*keys));
	const char *kept[ROOMS_MAX];
	uint64_t numbers[ROOMS_MAX];
	int n_kept, rc = 0;

	if (keys == NULL) {
		api_v2_reply_result(call, -ENOMEM);
		return;
	}
	if ((n_kept = read_rooms(call, rooms, n, keys, kept)) > 0)
		rc = call->logic->histories.positions(call->logic->histories.self, kept, (size_t)n_kept, numbers);
	if (rc < 0)
		reply_failure(call, rc);
	else if (n_kept >= 0)
		reply_positions(call, keys, n, kept, numbers, (size_t)n_kept);
	free(keys);
}

void api_stream_position(struct api_call *call)
{
	const char **rooms;
	size_t n;
	int rc;

	if (api_v2_read_type(call) == NULL)
		return;
	rc = api_read_list(call->request, "rooms", &rooms, &n);
	if (api_v2_list_is_good(call, rc, n, "rooms is missing")) {
		if (n <= ROOMS_MAX)
			tell_positions(call, rooms, n);
		else
			api_v2_reply_bad(call, "at most 100 rooms in one call");
	}
	free(rooms);
}

/* ---- clear ---- */

void api_stream_clear(struct api_call *call)
{
	char room[WIRE_ROOM_BYTES];
	uint64_t at;
	int rc;

	if (!api_v2_read_room(call, room))
		return;
	if (!logic_keeps(call->logic, room)) {
		api_v2_reply_bad(call, "rooms of this type are not kept: stream.rooms does not name it");
		return;
	}
	rc = logic_clear_room(call->logic, room, &at);
	if (rc == 0)
		api_v2_set_position(call, at);
	api_v2_reply_result(call, rc);
}
