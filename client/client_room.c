/* client_room: see client_room.h. SPDX-License-Identifier: MIT */
#include "client/client_room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_said.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"

#define BODY        "{\"rooms\":[%s]}"
#define FRAME_BYTES (sizeof(BODY) - 1 - 2) /* of a body without members */
/* Before a room is asked for again, whatever the server says. */
#define RETRY_LEAST_MS 500

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
	utf8_copy(room->reason, sizeof(room->reason), reason != NULL && *reason != '\0' ? reason : "refused");
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

void client_room_missed(struct client_room *room, int64_t at, int wait_ms)
{
	room->at = at;
	room->wait_ms = wait_ms;
	room->is_stale = true;
	room->news |= NEWS_GAP;
}

static int joined(struct client_room *room, const json_t *said)
{
	struct client_place place;

	if (client_said_place(said, &place) < 0)
		return -EPROTO;
	room->is_in = true;
	room->is_stale = false;
	room->at = place.at;
	room->replay = place.replay;
	room->news = NEWS_JOINED;
	if (place.gap)
		client_room_missed(room, place.at, place.wait_ms);
	return 0;
}

static int refused(struct client_room *room, const json_t *said, int64_t now_ns)
{
	const char *reason;
	char words[32];
	int error, retry_ms;

	if (client_said_int(said, "error", &error) < 0 || client_said_int(said, "retry_ms", &retry_ms) < 0 ||
	    client_said_text(said, "reason", &reason) < 0)
		return -EPROTO;
	if (json_object_get(said, "retry_ms") != NULL) {
		room->due_ns = now_ns + (retry_ms > RETRY_LEAST_MS ? retry_ms : RETRY_LEAST_MS) * CLOCK_MS;
		return 0;
	}
	(void)snprintf(words, sizeof(words), "refused (%d)", error);
	client_room_left(room, reason != NULL ? reason : words);
	return 0;
}

int client_room_answered(struct client_room *room, const json_t *said, int64_t now_ns)
{
	room->join_seq = 0;
	room->is_in = false;
	return json_object_get(said, "error") == NULL ? joined(room, said) : refused(room, said, now_ns);
}

int client_room_noticed(struct client_room *room, const json_t *said)
{
	const json_t *gap = json_object_get(said, "gap");
	const char *left;
	int64_t at;
	int wait_ms;

	if (client_said_text(said, "left", &left) < 0 || (gap != NULL && !json_is_boolean(gap)))
		return -EPROTO;
	if (json_is_true(gap) && (client_said_at(said, &at) < 0 || client_said_int(said, "reload_ms", &wait_ms) < 0))
		return -EPROTO;
	if (!room->is_in)
		return 0;
	if (left != NULL)
		client_room_left(room, left);
	else if (json_is_true(gap))
		client_room_missed(room, at, wait_ms);
	return 0;
}

void client_room_led(struct client_room *room, int64_t at, bool has_state)
{
	if (room->is_wanted && room->join_seq != 0)
		return;
	room->is_wanted = true;
	room->is_in = !has_state && (room->position == 0 || room->position >= at);
	room->due_ns = room->is_in ? INT64_MAX : 0; /* what is pushed meanwhile comes again, behind what was missed */
	room->at = at;
	room->replay = 0;
	room->had_since = room->position > 0;
	room->news = room->is_in ? NEWS_JOINED : 0;
}
