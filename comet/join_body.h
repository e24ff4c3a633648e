/* join_body: the JSON of JOIN, LEAVE and NOTICE, and of AUTH that asks for streams (docs/protocol.md, section 5), read and written. Knows no connection.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_JOIN_BODY_H
#define COMET_JOIN_BODY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comet/feed.h"
#include "common/wire/message.h"

/* What the member "streams" of AUTH's object says. */
struct join_streams {
	bool no_user;   /* the user's stream is not wanted; otherwise it is: */
	bool unacked;   /* from what this device has confirmed on */
	uint64_t since; /* a position in it; 0: none, from now on */
};

/* Does the object of AUTH have the member "streams", an object, in whatever way the rest of it says who the client is? Without memory
 * it has not. Of its "user" all that is no position is as if it were absent. */
bool join_streams_asked(const void *token, size_t n, struct join_streams *out);

/* One of the rooms that a client asks for. */
struct join_wish {
	const char *room; /* NULL: it is no name that a room can have */
	struct feed_wish feed;
	const char *ticket; /* NULL: none is shown */
	const char *wrong;  /* it is to be answered with error 400, and this reason; NULL: it is well-formed */
};

/* What a body asks for; the names are the JSON's. */
struct join_ask {
	json_t *object;
	size_t n;
	struct join_wish *rooms;
};

/* The body of JOIN, or of LEAVE, where "rooms" has names only, and nothing in it is wrong.
 *   0         join_ask_fini is due
 *   -EBADMSG  no such object: *wrong says why
 *   -ENOMEM */
int join_read(const void *body, size_t n, struct join_ask *out, const char **wrong);
int join_read_leave(const void *body, size_t n, struct join_ask *out, const char **wrong);
void join_ask_fini(struct join_ask *ask);

/* What became of one of them. */
struct join_outcome {
	int error; /* 0: it is joined */
	const char *reason;
	int64_t retry_ms; /* with an error: below 0: it is no use to try again */
	struct feed_place place;
	int64_t reload_ms; /* with a gap */
};

/* The body of op 8 for a client with streams, with where its user's stream goes on (NULL: it has none); how long it is. */
#define JOIN_WELCOME_BYTES 224
size_t join_welcome(char text[JOIN_WELCOME_BYTES], const struct config *cfg, const struct join_outcome *own);
/* Op 19, the answer to this ask; or, for a body that is no such object, op 19 or 21 with error 400. One reference, the caller's. 0 or
 * -ENOMEM. */
int join_answer(const struct join_ask *ask, const struct join_outcome *outcomes, int32_t seq, struct message **out);
int join_answer_wrong(int32_t op, const char *wrong, int32_t seq, struct message **out);
/* Op 21: so many rooms were left. */
int join_answer_left(size_t n, int32_t seq, struct message **out);
/* Op 22: what comes of the room goes on after `at`, and something is missing before. Its number is `at`. */
int join_notice_gap(const char *room, uint64_t at, int64_t reload_ms, struct message **out);
/* Op 22: a back end has led the connection into the room, whose pushes come from `at` on. */
int join_notice_led(const char *room, uint64_t at, struct message **out);
/* Op 22: the connection is not in the room any more. */
int join_notice_left(const char *room, const char *why, struct message **out);

#endif
