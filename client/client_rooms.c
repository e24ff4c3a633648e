/* client_rooms: see client_rooms.h. The list is short (a server lets a client into a hundred rooms), so it is walked.
 * SPDX-License-Identifier: MIT */
#include "client/client_rooms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_answers.h"
#include "client/client_list.h"
#include "client/client_room.h"
#include "client/client_said.h"
#include "common/base/clock.h"
#include "common/wire/message.h"

#define ACK_NS         CLOCK_SEC
#define ACK_BYTES      8
#define HEAD_BYTES     5               /* of a push: the number's high half, the length of the room's id */
#define STATE_AGAIN_NS (3 * CLOCK_SEC) /* after the application could not load one */

/* ---- for the application ---- */

void client_rooms_free(struct client_rooms **rooms)
{
	struct client_rooms *s = *rooms;

	if (s == NULL)
		return;
	while (s->first != NULL)
		client_list_drop(s, &s->first);
	free(s);
	*rooms = NULL;
}

/* The first one is the user's stream, which nobody joins or leaves. */
struct client_rooms *client_rooms_new(const struct client_rooms_options *opt)
{
	struct client_rooms *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->opt = *opt;
	if ((s->first = client_room_new("")) == NULL)
		client_rooms_free(&s);
	else
		s->first->is_wanted = true;
	return s;
}

int client_rooms_join(struct client_rooms *s, const struct client_wish *wish)
{
	struct client_room *room = client_list_find(s, wish->room);
	char *ticket = NULL;

	if (wish->room == NULL || strlen(wish->room) >= CLIENT_ROOM_BYTES || wish->since < 0 || wish->last < 0)
		return -EINVAL;
	if (wish->room[0] == '\0') {
		s->first->position = wish->since;
		return 0;
	}
	if (wish->ticket != NULL && (ticket = strdup(wish->ticket)) == NULL)
		return -ENOMEM;
	if (room == NULL && client_list_add(s, wish->room, &room) < 0) {
		free(ticket);
		return -ENOMEM;
	}
	free(room->ticket);
	room->ticket = ticket;
	room->last = wish->last;
	room->is_wanted = true;
	client_list_own(s, room);
	room->is_in = false; /* pushes that come before the answer come again */
	room->news = 0;
	room->due_ns = 0;
	if (wish->since == 0)
		return 0;
	room->position = wish->since;
	room->is_stale = false;
	if (s->handed == room)
		s->handed = NULL;
	return 0;
}

int client_rooms_leave(struct client_rooms *s, const char *id)
{
	struct client_room *room = client_list_find(s, id);

	if (room == NULL || client_list_is_users(room))
		return -ENOENT;
	room->is_wanted = room->is_in = false;
	room->news = 0;
	room->position = 0;
	room->due_ns = 0;
	if (s->handed == room)
		s->handed = NULL;
	return 0;
}

int64_t client_rooms_position(const struct client_rooms *s, const char *id)
{
	const struct client_room *room = client_list_find(s, id);

	return room != NULL ? room->position : 0;
}

bool client_rooms_unacked(const struct client_rooms *s)
{
	return s->opt.unacked && s->first->position == 0;
}

unsigned client_rooms_wanted(const struct client_rooms *s)
{
	unsigned n = 0;

	for (const struct client_room *room = s->first->next; room != NULL; room = room->next)
		n += room->is_wanted;
	return n;
}

/* ---- asking ---- */

/* The user's stream, as the answer to AUTH has it. */
static void begin_user(struct client_room *room, const struct client_welcome *w)
{
	room->is_in = w->has_user;
	room->had_since = room->position > 0;
	room->at = w->user.at;
	room->replay = w->user.replay;
	room->news = w->has_user ? NEWS_JOINED : 0;
	if (w->has_user ? w->user.gap : room->had_since) /* it is not kept any more, or not there */
		client_room_missed(room, w->user.at, w->user.wait_ms);
}

static void begin_room(struct client_room *room, const struct client_welcome *w)
{
	room->is_in = false;
	room->join_seq = room->leave_seq = 0;
	room->news &= NEWS_LEFT; /* the others are answers of before, and come again */
	if (room->is_wanted && w->max_body == 0)
		client_room_left(room, "the server knows no streams");
	room->due_ns = room->is_wanted ? 0 : CLIENT_ROOMS_NEVER;
}

unsigned client_rooms_begin(struct client_rooms *s, const struct client_welcome *w)
{
	for (struct client_room **at = &s->first->next, *room; (room = *at) != NULL;) {
		if (!room->is_wanted && room->news == 0 && room->position == 0) { /* left by the application */
			client_list_drop(s, at);
			continue;
		}
		begin_room(room, w);
		at = &room->next;
	}
	begin_user(s->first, w);
	s->acked = 0;
	s->handed = NULL; /* the connection ended before the application was done with it */
	s->welcome = *w;
	s->wrong = NULL;
	return ++s->connection;
}

/* When the position in the user's stream is to be confirmed. */
static int64_t ack_ns(const struct client_rooms *s)
{
	const struct client_room *user = s->first;

	return user->is_in && user->position > s->acked ? s->next_ack_ns : CLIENT_ROOMS_NEVER;
}

int64_t client_rooms_due_ns(const struct client_rooms *s, unsigned connection)
{
	int64_t due_ns = ack_ns(s);

	if (connection != s->connection || s->welcome.max_body == 0)
		return CLIENT_ROOMS_NEVER;

	for (const struct client_room *room = s->first; room != NULL; room = room->next)
		if (room->due_ns < due_ns)
			due_ns = room->due_ns;
	return due_ns;
}

static int ack(struct client_rooms *s, int64_t now_ns, struct client_ask *out)
{
	const int64_t position = s->first->position;

	if (ack_ns(s) > now_ns)
		return 0;
	*out = (struct client_ask){OP_ACK, malloc(ACK_BYTES), ACK_BYTES};
	if (out->body == NULL)
		return -ENOMEM;
	packet_put_i32((uint8_t *)out->body, (int32_t)(position >> 32));
	packet_put_i32((uint8_t *)out->body + 4, (int32_t)(uint32_t)position);
	s->acked = position;
	s->next_ack_ns = now_ns + ACK_NS;
	return 1;
}

/* The application is done with all up to that number. */
static void move(struct client_rooms *s, struct client_room *room, int64_t position)
{
	const bool waits = room->is_stale && s->opt.state != NULL && !client_list_is_users(room);

	room->position = position;
	/* 0 is no position; and who is started again before the state after a gap is loaded would never load it. */
	if (s->opt.store != NULL && position > 0 && !waits)
		s->opt.store(s->opt.arg, room->id, position);
}

/* Have the application's state loaded where that is due: of a room without a position, and after a gap. What comes before the answer to JOIN
 * comes again. */
static void load_states(struct client_rooms *s, int64_t now_ns)
{
	for (struct client_room *room = s->first->next; room != NULL; room = room->next) {
		int64_t at;

		if (!room->is_wanted || room->due_ns > now_ns || (room->position > 0 && !room->is_stale))
			continue;
		at = s->opt.state(s->opt.arg, room->id);
		if (at < 0) {
			room->due_ns = clock_now_ns() + STATE_AGAIN_NS;
			continue;
		}
		room->is_in = room->is_stale = false;
		move(s, room, at);
	}
}

int client_rooms_ask(struct client_rooms *s, unsigned connection, int64_t now_ns, int32_t seq, struct client_ask *out)
{
	int rc;

	if (client_rooms_due_ns(s, connection) > now_ns)
		return 0;
	if ((rc = ack(s, now_ns, out)) != 0)
		return rc;
	if (s->opt.state != NULL)
		load_states(s, now_ns);
	out->op = OP_LEAVE;
	if ((rc = client_room_body(s->first, false, now_ns, seq, s->welcome.max_body, &out->body)) == 0) {
		out->op = OP_JOIN;
		rc = client_room_body(s->first, true, now_ns, seq, s->welcome.max_body, &out->body);
	}
	if (rc > 0)
		out->body_bytes = (uint32_t)strlen(out->body);
	return rc;
}

int client_rooms_ask_last(struct client_rooms *s, unsigned connection, struct client_ask *out)
{
	if (connection != s->connection || s->welcome.max_body == 0)
		return 0;
	s->next_ack_ns = 0;
	return ack(s, clock_now_ns(), out);
}

/* ---- what comes ---- */

/* The rule for clients, for a push of the newest connection; and for one of a server that goes away: the newest brings all others, or
 * has brought them. */
static bool follows(struct client_room *room, bool is_newest, int64_t number)
{
	if (number == 0)
		return room == NULL || room->is_in || !is_newest || client_list_is_users(room);
	if (room == NULL || !room->is_wanted)
		return false;
	if (!is_newest)
		return room->position > 0 && number == room->position + 1;
	if (!room->is_in || number <= room->position)
		return false;
	if (number > room->position + 1) /* the server is wrong; it is told behind the push, which goes on from there */
		client_room_missed(room, number, 0);
	return true;
}

static int take_push(struct client_rooms *s, bool is_newest, const struct packet *p, struct client_event *out)
{
	const uint64_t high = p->body_bytes >= HEAD_BYTES ? (uint32_t)packet_get_i32(p->body) : 0;
	const size_t id_bytes = p->body_bytes >= HEAD_BYTES ? p->body[HEAD_BYTES - 1] : 0;
	struct client_room *room;

	if (p->body_bytes < HEAD_BYTES + id_bytes || high >= MESSAGE_NUMBERS_END >> 32) {
		s->wrong = "a push is without its head";
		return -EPROTO;
	}
	memcpy(s->place, p->body + HEAD_BYTES, id_bytes);
	s->place[id_bytes] = '\0';
	room = client_list_find(s, s->place);
	*out = (struct client_event){
		.kind = CLIENT_PUSH,
		.packet = p,
		.body = p->body + HEAD_BYTES + id_bytes,
		.body_bytes = p->body_bytes - HEAD_BYTES - id_bytes,
		.room = s->place,
		.number = (int64_t)(high << 32 | (uint32_t)p->seq),
	};
	if (!follows(room, is_newest, out->number))
		return 0;
	if (room != NULL)
		client_list_see_to_gap(s, room);
	s->handed = out->number > 0 ? room : NULL;
	s->handed_number = out->number;
	return 1;
}

int client_rooms_take(struct client_rooms *s, unsigned connection, const struct packet *p, struct client_event *out)
{
	const bool is_newest = connection == s->connection;

	if (p->ver == PACKET_VER_PUSH)
		return take_push(s, is_newest, p, out);
	if (p->op != OP_JOIN_REPLY && p->op != OP_LEAVE_REPLY && p->op != OP_NOTICE)
		return -ENOENT;
	return is_newest ? client_answers_take(s, p) : 0;
}

const char *client_rooms_wrong(const struct client_rooms *s)
{
	return s->wrong;
}

bool client_rooms_news(struct client_rooms *s, struct client_event *out)
{
	struct client_room *room = s->first;

	while (room != NULL && room->news == 0)
		room = room->next;
	if (room == NULL)
		return false;
	*out = (struct client_event){.room = room->id, .number = room->at, .body = ""};
	if (room->news & NEWS_JOINED) {
		room->news &= ~NEWS_JOINED;
		out->kind = CLIENT_JOINED;
		out->replay = room->replay;
		/* Where something is missing, that is told first. */
		s->handed = room->had_since || (room->news & NEWS_GAP) ? NULL : room;
	} else if (room->news & NEWS_GAP) {
		room->news &= ~NEWS_GAP;
		out->kind = CLIENT_GAP;
		out->wait_ms = room->wait_ms;
		s->handed = room;
	} else {
		room->news = 0;
		out->kind = CLIENT_LEFT;
		out->number = room->position;
		out->body = room->reason;
		out->body_bytes = strlen(room->reason);
	}
	s->handed_number = room->at;
	return true;
}

void client_rooms_done(struct client_rooms *s)
{
	struct client_room *room = s->handed;

	s->handed = NULL;
	if (room == NULL || s->handed_number == 0 || s->handed_number == room->position)
		return;
	move(s, room, s->handed_number);
}
