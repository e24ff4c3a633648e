/* kept: which streams are numbered and what their histories hold: those of rooms by the room's type, written as
 * chat:200/10m, live:20/30s, and those of users, written as 50/24h. Pure; any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_KEPT_H
#define COMMON_BASE_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEPT_TYPES_MAX    64
#define KEPT_TYPE_BYTES   64 /* longest type with its zero byte */
#define KEPT_MESSAGES_MAX 10000
#define KEPT_TTL_MAX_MS   (INT64_C(7) * 24 * 3600 * 1000)

struct kept_type {
	char type[KEPT_TYPE_BYTES];
	unsigned messages; /* a history holds, at least 1 */
	int64_t ttl_ms;    /* after the last push it is forgotten */
};

struct kept {
	struct kept_type types[KEPT_TYPES_MAX];
	size_t n;
	struct kept_type users; /* messages 0: theirs are not kept */
};

/* A room's stream is called as the room is; a user's by this byte, with which the id of no kept room begins, and the user's escaped
 * string (common/wire/user.h). */
#define KEPT_USER '\1'

/* 0; -EINVAL: not so written, a type twice, a number out of its range, or more than KEPT_TYPES_MAX. "" is none. NULL: the same. */
int kept_parse(const char *rooms, const char *users, struct kept *out);
/* What a room with this id ("type://id") keeps, or NULL: nothing, and it has no numbers. An id without a type is never kept. */
const struct kept_type *kept_of(const struct kept *k, const char *room);
/* The same of a stream by its name, a user's, too. */
const struct kept_type *kept_of_stream(const struct kept *k, const char *name);
static inline bool kept_has_users(const struct kept *k)
{
	return k->users.messages > 0;
}

#endif
