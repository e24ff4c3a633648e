/* client_said: what a server says of streams, in JSON. It is read strictly: who believes the half of an answer has holes that nobody tells
 * him of. Each returns 0, or -EPROTO: a server that is right says no such thing. SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_SAID_H
#define CLIENT_CLIENT_SAID_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Where a stream goes on. */
struct client_place {
	int64_t at; /* pushes come from the next number on; 0: it is not numbered */
	bool gap;   /* something is missing before */
	int replay; /* so many that were missed follow */
	int wait_ms;
};

/* What op 8 says to a client with streams. */
struct client_welcome {
	uint32_t max_body; /* that the server takes; 0: it knows no streams, or was not asked for them */
	unsigned max_rooms;
	bool has_user; /* the connection is in its user's stream: */
	struct client_place user;
};

int client_said_welcome(const json_t *said, struct client_welcome *out);
/* Of `user` in op 8, or of a member of op 19. */
int client_said_place(const json_t *said, struct client_place *out);
/* The member `at`. */
int client_said_at(const json_t *said, int64_t *at);
/* The number of a member, cut to what an int holds; 0: there is none of this name. */
int client_said_int(const json_t *said, const char *name, int *out);
/* The text of a member; NULL: there is none of this name. */
int client_said_text(const json_t *said, const char *name, const char **out);

#endif
