/* Fuzzes what a server may say to client_rooms, between wishes of the application: each event names a room, a position is a number that a
 * push can have, and what is asked fits into what the server takes. The input is a row of steps: what to do, a sequence number, the
 * length of a body, and the body. SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/client_rooms.h"
#include "common/base/obj.h"
#include "common/wire/message.h"

#define MAX_BODY 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum step { PUSH, JOIN_REPLY, LEAVE_REPLY, NOTICE, ASK, BEGIN, JOIN, LEAVE, STEPS };

struct fuzzed {
	struct client_rooms *rooms;
	unsigned connection;
	char room[CLIENT_ROOM_BYTES]; /* the body as a name */
};

static void must_have_a_position(const struct client_rooms *rooms, const char *room)
{
	int64_t position = client_rooms_position(rooms, room);

	BUG_UNLESS(position >= 0 && position < MESSAGE_NUMBERS_END);
}

static void look(struct client_rooms *rooms, const struct client_event *e)
{
	BUG_UNLESS(e->room != NULL && strlen(e->room) < CLIENT_ROOM_BYTES && e->body != NULL);
	BUG_UNLESS(e->number >= 0 && e->number < MESSAGE_NUMBERS_END && e->replay >= 0 && e->wait_ms >= 0);
	client_rooms_done(rooms);
	must_have_a_position(rooms, e->room);
}

static void show(struct fuzzed *f, const struct packet *p)
{
	struct client_event e;

	if (client_rooms_take(f->rooms, f->connection, p, &e) > 0)
		look(f->rooms, &e);
}

static void ask(struct fuzzed *f, int64_t now_ns, int32_t seq)
{
	struct client_ask ask;

	while (client_rooms_ask(f->rooms, f->connection, now_ns, seq, &ask) > 0) {
		BUG_UNLESS(ask.body_bytes <= MAX_BODY);
		free(ask.body);
	}
}

static void begin(struct fuzzed *f, const struct packet *p)
{
	f->connection = client_rooms_begin(f->rooms, &(struct client_welcome){
							     .max_body = p->seq % 2 != 0 ? MAX_BODY : 0,
							     .max_rooms = 2,
							     .has_user = p->seq % 4 != 0,
							     .user = {.at = p->body_bytes, .gap = p->seq % 8 != 0},
						     });
}

/* The application's state has the length of the room's name as its position, or cannot be loaded. */
static int64_t load(void *arg, const char *room)
{
	(void)arg;
	return (int64_t)strlen(room) - 2;
}

static void take_step(struct fuzzed *f, enum step step, struct packet *p)
{
	static const int32_t ops[STEPS] = {1000, OP_JOIN_REPLY, OP_LEAVE_REPLY, OP_NOTICE};

	p->ver = step == PUSH ? PACKET_VER_PUSH : 1;
	p->op = ops[step];
	memcpy(f->room, p->body, p->body_bytes);
	f->room[p->body_bytes] = '\0';
	if (step <= NOTICE)
		show(f, p);
	else if (step == ASK)
		ask(f, INT64_MAX / 2, p->seq);
	else if (step == BEGIN)
		begin(f, p);
	else if (step == JOIN)
		(void)client_rooms_join(f->rooms,
					&(struct client_wish){.room = f->room, .since = p->seq, .last = p->seq % 3});
	else
		(void)client_rooms_leave(f->rooms, f->room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const struct client_rooms_options opt = {.state = bytes % 2 != 0 ? load : NULL};
	struct fuzzed f = {.rooms = client_rooms_new(&opt)};
	struct client_event e;

	while (f.rooms != NULL && bytes >= 3 && bytes - 3 >= data[2]) {
		struct packet p = {.seq = data[1], .body = (uint8_t *)(uintptr_t)(data + 3), .body_bytes = data[2]};

		take_step(&f, data[0] % STEPS, &p);
		while (client_rooms_news(f.rooms, &e))
			look(f.rooms, &e);
		(void)client_rooms_due_ns(f.rooms, f.connection);
		bytes -= 3u + data[2];
		data += 3u + data[2];
	}
	client_rooms_free(&f.rooms);
	return 0;
}
