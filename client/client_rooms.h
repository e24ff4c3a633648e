/* client_rooms: the rooms that a client is to be in, over its connections: what it asks the server for, and the rule by which pushes with
 * numbers count (docs/protocol.md, *18 to 22*). It knows no socket: whoever has the connection sends what client_rooms_ask gives, and shows
 * each packet that comes. comet_client_rooms_* of comet_client.h is this for other programs. One thread at a time.
 * SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_ROOMS_H
#define CLIENT_CLIENT_ROOMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client_room.h"
#include "common/wire/packet.h"

#define CLIENT_ROOMS_NEVER INT64_MAX

struct client_rooms;

enum client_event_kind {
	CLIENT_PUSH,   /* to deliver */
	CLIENT_JOINED, /* pushes go on after `number`, 0: the room is not numbered; `replay` that were missed follow */
	CLIENT_GAP,    /* something is missing, and pushes go on after `number`; wait_ms: when to ask the back end */
	CLIENT_LEFT,   /* not joined, and not again by itself; the body says why */
};

struct client_event {
	enum client_event_kind kind;
	const struct packet *packet; /* of a push */
	const char *room;
	int64_t number;
	const void *body;
	size_t body_bytes;
	int replay, wait_ms;
};

struct client_wish {
	const char *room;
	int64_t since; /* 0: the position that is known */
	int last;
	const char *ticket; /* or NULL */
};

/* NULL: no memory. */
struct client_rooms *client_rooms_new(const struct client_rooms_options *opt);
void client_rooms_free(struct client_rooms **s);

/* Want a room; JOINED or LEFT comes of it. One that is joined: again. "" is the user's stream, which every connection is in: `since` is the
 * position that client_rooms_position tells for AUTH. 0, -EINVAL or -ENOMEM. */
int client_rooms_join(struct client_rooms *s, const struct client_wish *wish);
/* Want it no more, and forget its position; no event comes of it. 0, -ENOENT. */
int client_rooms_leave(struct client_rooms *s, const char *room);
int64_t client_rooms_position(const struct client_rooms *s, const char *room); /* 0: none */
/* Is what the key has not confirmed to be asked for in AUTH? */
bool client_rooms_unacked(const struct client_rooms *s);
/* So many are joined, or may be yet. */
unsigned client_rooms_wanted(const struct client_rooms *s);

/* A connection is up, whose server has said this. All rooms are due. Returns its number, by which the calls below tell it from one to a
 * server that goes away. */
struct client_welcome;
unsigned client_rooms_begin(struct client_rooms *s, const struct client_welcome *welcome);

/* What is to be sent. */
struct client_ask {
	int32_t op;
	char *body; /* malloc'ed */
	uint32_t body_bytes;
};
/* The next JOIN, LEAVE or ACK that is due, for a packet with this sequence number: 1, 0: none is, or -ENOMEM. Only for the newest
 * connection, else 0. */
int client_rooms_ask(struct client_rooms *s, unsigned connection, int64_t now_ns, int32_t seq, struct client_ask *out);
/* The same before the connection is closed: an ACK, not to be put off. */
int client_rooms_ask_last(struct client_rooms *s, unsigned connection, struct client_ask *out);
/* When the next one will be due; CLIENT_ROOMS_NEVER. */
int64_t client_rooms_due_ns(const struct client_rooms *s, unsigned connection);

/* Show a packet of that connection.
 *   0        it was an answer or a NOTICE, of which there may be news, or a push that is not to be delivered
 *   1        a push: *out is set; its room is good until the next call, its body as long as the packet's
 *   -EPROTO  no server that is right sends that: client_rooms_wrong has words
 *   -ENOMEM  a back end has led us into a room
 *   -ENOENT  it is none of ours */
int client_rooms_take(struct client_rooms *s, unsigned connection, const struct packet *p, struct client_event *out);
/* After -EPROTO; NULL: nothing was wrong on this connection. */
const char *client_rooms_wrong(const struct client_rooms *s);
/* The next event; false: none is left. To be asked before the next packet is shown. */
bool client_rooms_news(struct client_rooms *s, struct client_event *out);
/* The application has done with the last push or event that it got: the position is behind it. */
void client_rooms_done(struct client_rooms *s);

#endif
