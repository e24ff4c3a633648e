/* client_room: one of a client's rooms, and its words in the bodies of JOIN, LEAVE and their answers. It belongs to a client_rooms.
 * SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_ROOM_H
#define CLIENT_CLIENT_ROOM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_ROOM_BYTES 256 /* of an id, with its end */

/* What the application wants of all its rooms. */
struct client_rooms_options {
	/* Told each position as it becomes one; may be NULL. */
	void (*store)(void *arg, const char *room, int64_t position);
	void *arg;
	/* Loads what the application shows of a room: the position of that; 0: from now on; below 0: not now. Asked before the first JOIN
	 * and after a gap; may be NULL. Neither calls anything of this header. */
	int64_t (*state)(void *arg, const char *room);
	bool unacked; /* without a position in the user's stream ask for what this key has not confirmed */
};

/* Events that are to be told, in this order. */
enum { NEWS_JOINED = 1, NEWS_GAP = 2, NEWS_LEFT = 4 };

struct client_room {
	struct client_room *next;
	/* as the application wants it */
	bool is_wanted; /* else it is left, or being left */
	bool is_led;    /* by a back end, and the application has not asked for it */
	int last;
	char *ticket;
	int64_t position; /* of the last push that the application is done with; 0: none */
	/* on this connection */
	bool is_in;
	bool had_since;              /* in the JOIN of join_seq */
	bool is_stale;               /* there was a gap, and the application's state is not loaded yet */
	int32_t join_seq, leave_seq; /* of the last packet that named it; 0: none did */
	int64_t due_ns;              /* when to ask for it, or to leave it */
	/* to be told */
	unsigned news;
	int64_t at;
	int replay, wait_ms;
	char reason[64];
	char id[];
};

/* A room that is wanted by nobody; NULL: no memory. */
struct client_room *client_room_new(const char *id);
void client_room_free(struct client_room **room);

/* The body of a JOIN, or else a LEAVE, for those of the list that are due, as many as fit: 1, and they are asked for by the packet of that
 * number, and *body is malloc'ed. 0: none is due; -ENOMEM. */
int client_room_body(struct client_room *first, bool joins, int64_t now_ns, int32_t seq, uint32_t max_body,
		     char **body);

/* What the member of op 19 says of it, now: 0, -EPROTO. */
int client_room_answered(struct client_room *room, const json_t *said, int64_t now_ns);
/* The same of a NOTICE of a gap or an end. */
int client_room_noticed(struct client_room *room, const json_t *said);
/* Something is missing before what comes after `at`. */
void client_room_missed(struct client_room *room, int64_t at, int wait_ms);
/* A back end has led us into it, whose pushes go on after `at`. With a position, or a state to load, it is asked for; where that is under way
 * already the answer says where it goes on, and until then nothing counts. */
void client_room_led(struct client_room *room, int64_t at, bool has_state);
/* It is not joined, and not asked for again. */
void client_room_left(struct client_room *room, const char *reason);

#endif
