/* client_answers: see client_answers.h. SPDX-License-Identifier: MIT */
#include "client/client_answers.h"

#include <errno.h>
#include <string.h>

#include "client/client_list.h"
#include "common/base/clock.h"
#include "common/wire/packet.h"

/* Op 19: each member is of a room that the packet of that number named, and a later one did not. */
static int take_joined(struct client_rooms *s, int32_t seq, const json_t *said)
{
	const int64_t now_ns = clock_now_ns();
	const json_t *members = json_object_get(said, "rooms"), *member;
	const char *reason;
	size_t i;

	if (seq == 0)
		return 0; /* no packet of ours */
	json_array_foreach(members, i, member)
	{
		struct client_room *room = client_list_find(s, json_string_value(json_object_get(member, "id")));

		if (room == NULL || !room->is_wanted || room->join_seq != seq)
			continue;
		if (client_room_answered(room, member, now_ns) < 0)
			return -EPROTO;
		client_list_see_to_gap(s, room);
	}
	for (struct client_room *room = s->first; room != NULL; room = room->next) {
		if (!room->is_wanted || room->join_seq != seq)
			continue;
		/* None was joined; otherwise it does not say what became of this one. */
		if (!json_is_integer(json_object_get(said, "error")) || client_said_text(said, "reason", &reason) < 0)
			return -EPROTO;
		client_room_left(room, reason);
	}
	return 0;
}

/* Op 21: behind it nothing comes of the rooms that were left. */
static void take_left(struct client_rooms *s, int32_t seq)
{
	for (struct client_room **at = &s->first->next; *at != NULL;) {
		if ((*at)->leave_seq == seq && seq != 0 && !(*at)->is_wanted)
			client_list_drop(s, at);
		else
			at = &(*at)->next;
	}
}

static int take_led(struct client_rooms *s, const char *id, struct client_room *room, const json_t *said)
{
	int64_t at;
	int rc = 0;

	if (id == NULL || id[0] == '\0' || strlen(id) >= CLIENT_ROOM_BYTES || client_said_at(said, &at) < 0)
		return -EPROTO;
	if (room == NULL && (rc = client_list_add_led(s, id, &room)) < 0)
		return rc;
	client_room_led(room, at, s->opt.state != NULL);
	return 0;
}

/* Op 22. Newer servers may say more than we know. */
static int take_notice(struct client_rooms *s, const json_t *said)
{
	const char *id = json_string_value(json_object_get(said, "room"));
	struct client_room *room = client_list_find(s, id);
	int rc;

	if (!json_is_object(said))
		return -EPROTO;
	if (json_object_get(said, "by") != NULL)
		return take_led(s, id, room, said);
	if (room == NULL ||
	    (client_list_is_users(room) && json_object_get(said, "left") != NULL)) /* that is left by nobody */
		return 0;
	if ((rc = client_room_noticed(room, said)) == 0)
		client_list_see_to_gap(s, room);
	return rc;
}

int client_answers_take(struct client_rooms *s, const struct packet *p)
{
	json_t *said = json_loadb((const char *)p->body, p->body_bytes, 0, NULL);
	int rc = 0;

	if (p->op == OP_JOIN_REPLY)
		rc = take_joined(s, p->seq, said);
	else if (p->op == OP_LEAVE_REPLY)
		take_left(s, p->seq);
	else
		rc = take_notice(s, said);
	json_decref(said);
	if (rc == -EPROTO)
		s->wrong = p->op == OP_JOIN_REPLY ? "the answer to JOIN is none" : "a NOTICE is none";
	return rc;
}
