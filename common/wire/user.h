/* user: whose a connection is. A user is a string: UTF-8 without control characters, at most 128 bytes. goim's numbers are the users
 * whose strings are their decimal forms; each other string is a name, also "007". The numbers 0 and below are nobody.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_USER_H
#define COMMON_WIRE_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/log.h"

#define USER_BYTES         129                        /* of the longest string, with its zero byte */
#define USER_ESCAPED_BYTES (3 * (USER_BYTES - 1) + 1) /* of the longest escaped one */
#define USER_STREAM_BYTES  (USER_ESCAPED_BYTES + 1)   /* of the longest name of a stream */

struct user {
	int64_t mid;      /* its number; 0 of a user that has a name */
	const char *name; /* the keeper's; NULL: the user has a number, or is nobody */
};

/* The user with this string, which has so many bytes before its zero byte; *out points into it. False: no user has it. */
bool user_read(const char *text, size_t bytes, struct user *out);

bool user_is_somebody(const struct user *user);
bool user_equal(const struct user *a, const struct user *b);

/* Its string: that of the number is written into `text`. */
const char *user_text(const struct user *user, char text[USER_BYTES]);
/* The same with %, _, spaces and a - at the beginning of a name as %25, %5F, %20, %2D. So it is one word, stands before a _
 * with nothing to be mistaken for, and begins with a - only where it is a number. Returns `text`. */
const char *user_escaped(const struct user *user, char text[USER_ESCAPED_BYTES]);

/* What his stream is called (common/base/kept.h). Returns `name`. */
const char *user_stream(const struct user *user, char name[USER_STREAM_BYTES]);

/* mid=7, or user="Ann". */
struct log_field user_log(const struct user *user);

#endif
