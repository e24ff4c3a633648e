/* client_list: the rooms of a client_rooms, and all that it knows of them. Only its own files look in here. The list is short (a server lets a
 * client into a hundred rooms), so it is walked. SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_LIST_H
#define CLIENT_CLIENT_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "client/client_room.h"
#include "client/client_said.h"

struct client_rooms {
	struct client_rooms_options opt;
	struct client_room *first;     /* the user's stream, which nobody joins or leaves */
	unsigned connection;           /* the newest; 0: there was none */
	struct client_welcome welcome; /* its server's */
	const char *wrong;             /* in what it said */
	/* the application has got this one and is not done with it */
	struct client_room *handed;
	int64_t handed_number;
	/* of the user's stream */
	int64_t acked, next_ack_ns;
	char place[CLIENT_ROOM_BYTES]; /* of the push that was handed out last */
};

/* The room of this name, which may be NULL; NULL: there is none. */
struct client_room *client_list_find(const struct client_rooms *s, const char *id);
/* A new one, which nobody wants. Those into which a back end has led us stand behind the others: a server lets us into fewer by JOIN.
 * 0, -ENOMEM. */
int client_list_add(struct client_rooms *s, const char *id, struct client_room **out);
/* The application has asked for it now. */
void client_list_own(struct client_rooms *s, struct client_room *room);
/* The same as client_list_add of one into which a back end leads us: how many those are is bounded by what the server lets in. 0, -ENOMEM, -EPROTO. */
int client_list_add_led(struct client_rooms *s, const char *id, struct client_room **out);
/* Take out and free the one to which *at points. */
void client_list_drop(struct client_rooms *s, struct client_room **at);
bool client_list_is_users(const struct client_room *room);
/* Where a gap is to be told, see to it that the state which the application loads comes anew, and the room is joined since that. */
void client_list_see_to_gap(const struct client_rooms *s, struct client_room *room);

#endif
