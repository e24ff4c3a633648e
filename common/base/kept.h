/* kept: which rooms are numbered streams and what their histories hold, by the room's type, written as
 * chat:200/10m, live:20/30s. Pure; any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_KEPT_H
#define COMMON_BASE_KEPT_H

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
};

/* 0; -EINVAL: not so written, a type twice, a number out of its range, or more than KEPT_TYPES_MAX. "" is none. */
int kept_parse(const char *text, struct kept *out);
/* What a room with this id ("type://id") keeps, or NULL: nothing, and it has no numbers. An id without a type is never kept. */
const struct kept_type *kept_of(const struct kept *k, const char *room);

#endif
