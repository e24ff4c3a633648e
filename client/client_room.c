/* client_room: see client_room.h. SPDX-License-Identifier: MIT */
#include "client/client_room.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/wire/message.h"

#define BODY        "{\"rooms\":[%s]}"
#define FRAME_BYTES (sizeof(BODY) - 1 - 2) /* of a body without members */

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

void client_room_left(struct client_room *room, const char *reason)
{
	room->is_wanted = room->is_in = false;
	room->due_ns = INT64_MAX;
	room->join_seq = 0;
	room->news = NEWS_LEFT;
	(void)snprintf(room->reason, sizeof(room->reason), "%s",
		       reason != NULL && *reason != '\0' ? reason : "refused");
}

/* ---- asking ---- */

/* A member of JOIN's list, or of LEAVE's, as text; malloc'ed, NULL: no memory. */
static char *member_of(const struct client_room *room, bool joins)
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

/* Take it into the packet of that number. */
static void asked_for(struct client_room *room, int32_t seq)
{
	room->due_ns = INT64_MAX;
	if (room->is_wanted) {
		room->join_seq = seq;
		room->had_since = room->position > 0;
	} else {
		room->leave_seq = seq;
	}
}

/* The members that are due, as many as fit into so many bytes: 1, 0 where there are none, or -ENOMEM. */
static int list(struct client_room *first, bool joins, int64_t now_ns, int32_t seq, size_t most, FILE *out)
{
	size_t left = most;
	const char *comma = "";

	for (struct client_room *room = first; room != NULL; room = room->next) {
		char *member;

		if (room->is_wanted != joins || room->due_ns > now_ns)
			continue;
		if ((member = member_of(room, joins)) == NULL)
			return -ENOMEM;
		if (strlen(member) + 1 > most) {
			client_room_left(room, "its JOIN is longer than the server takes");
		} else if (strlen(member) + 1 > left) {
			free(member);
			break;
		} else {
			left -= strlen(member) + 1;
			fprintf(out, "%s%s", comma, member);
			comma = ",";
			asked_for(room, seq);
		}
		free(member);
	}
	return *comma != '\0';
}

int client_room_body(struct client_room *first, bool joins, int64_t now_ns, int32_t seq, uint32_t max_body, char **body)
{
	char *members = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&members, &bytes);
	int rc = out != NULL ? list(first, joins, now_ns, seq, max_body - FRAME_BYTES, out) : -ENOMEM;

	if (out != NULL && fclose(out) != 0)
		rc = -ENOMEM;
	if (rc > 0 && asprintf(body, BODY, members) < 0)
		rc = -ENOMEM;
	free(members);
	return rc;
}

/* ---- answers ---- */

int client_room_number(const json_t *said, const char *name)
{
	const json_int_t n = json_integer_value(json_object_get(said, name));

	return n < 0 ? 0 : n > INT_MAX ? INT_MAX : (int)n;
}

int64_t client_room_at(const json_t *said)
{
	const json_int_t at = json_integer_value(json_object_get(said, "at"));

	return at > 0 && at < MESSAGE_NUMBERS_END ? at : 0;
}

static void missed(struct client_room *room, const json_t *said)
{
	room->at = client_room_at(said);
	room->wait_ms = client_room_number(said, "reload_ms");
	room->news |= NEWS_GAP;
}

void client_room_answered(struct client_room *room, const json_t *said, int64_t now_ns)
{
	char words[32];

	room->join_seq = 0;
	if (json_object_get(said, "error") == NULL) {
		room->is_in = true;
		room->at = client_room_at(said);
		room->replay = client_room_number(said, "replay");
		room->news = NEWS_JOINED;
		if (json_is_true(json_object_get(said, "gap")))
			missed(room, said);
	} else if (json_object_get(said, "retry_ms") != NULL) {
		room->is_in = false;
		room->due_ns = now_ns + client_room_number(said, "retry_ms") * CLOCK_MS;
	} else {
		(void)snprintf(words, sizeof(words), "refused (%d)", client_room_number(said, "error"));
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
