/* client_room: see client_room.h. SPDX-License-Identifier: MIT */
#include "client/client_room.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

struct client_room *client_room_new(const char *id)
{
	const size_t bytes = strlen(id) + 1;
	struct client_room *room = calloc(1, sizeof(*room) + bytes);

	if (room == NULL)
		return NULL;
	room->due_ns = INT64_MAX;
	memcpy(room->id, id, bytes);
	return room;
}

void client_room_free(struct client_room **room)
{
	free((*room)->ticket);
	free(*room);
	*room = NULL;
}

char *client_room_member(const struct client_room *room, bool joins)
{
	json_t *member =
		joins ? json_pack("{s:s, s:s*}", "id", room->id, "ticket", room->ticket) : json_string(room->id);
	char *text = NULL;

	if (member != NULL && joins && room->position > 0)
		(void)json_object_set_new(member, "since", json_integer(room->position));
	if (member != NULL && joins && room->last > 0)
		(void)json_object_set_new(member, "last", json_integer(room->last));
	/* A position that lacks here for want of memory would be a silent gap. */
	if (member != NULL && (!joins || ((room->position > 0) == (json_object_get(member, "since") != NULL))))
		text = json_dumps(member, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(member);
	return text;
}

/* ---- answers ---- */

static int number_of(const json_t *said, const char *name)
{
	const json_int_t n = json_integer_value(json_object_get(said, name));

	return n < 0 ? 0 : n > INT_MAX ? INT_MAX : (int)n;
}

int64_t client_room_at(const json_t *said)
{
	const json_int_t at = json_integer_value(json_object_get(said, "at"));

	return at > 0 ? at : 0;
}

void client_room_left(struct client_room *room, const char *reason)
{
	room->is_wanted = room->is_in = false;
	room->due_ns = INT64_MAX;
	room->join_seq = 0;
	room->news = NEWS_LEFT;
	(void)snprintf(room->reason, sizeof(room->reason), "%s",
		       reason != NULL && *reason != '\0' ? reason : "refused");
}

static void missed(struct client_room *room, const json_t *said)
{
	room->at = client_room_at(said);
	room->wait_ms = number_of(said, "reload_ms");
	room->news |= NEWS_GAP;
}

void client_room_answered(struct client_room *room, const json_t *said, int64_t now_ns)
{
	char words[32];

	room->join_seq = 0;
	if (json_object_get(said, "error") == NULL) {
		room->is_in = true;
		room->at = client_room_at(said);
		room->replay = number_of(said, "replay");
		room->news = NEWS_JOINED;
		if (json_is_true(json_object_get(said, "gap")))
			missed(room, said);
	} else if (json_object_get(said, "retry_ms") != NULL) {
		room->is_in = false;
		room->due_ns = now_ns + number_of(said, "retry_ms") * CLOCK_MS;
	} else {
		(void)snprintf(words, sizeof(words), "refused (%d)", number_of(said, "error"));
		client_room_left(room, json_object_get(said, "reason") != NULL
					       ? json_string_value(json_object_get(said, "reason"))
					       : words);
	}
}

void client_room_noticed(struct client_room *room, const json_t *said)
{
	if (!room->is_in)
		return;
	if (json_object_get(said, "left") != NULL)
		client_room_left(room, json_string_value(json_object_get(said, "left")));
	else if (json_is_true(json_object_get(said, "gap")))
		missed(room, said);
}

void client_room_led(struct client_room *room, int64_t at)
{
	room->is_wanted = true;
	room->join_seq = 0;
	room->is_in = room->position == 0 || room->position >= at;
	room->due_ns = room->is_in ? INT64_MAX : 0; /* what is pushed meanwhile comes again, behind what was missed */
	room->at = at;
	room->replay = 0;
	room->had_since = room->position > 0;
	room->news = room->is_in ? NEWS_JOINED : 0;
}
