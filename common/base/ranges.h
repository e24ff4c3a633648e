/* ranges: a set of whole numbers, written as 4,1000-1999. Pure; any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_RANGES_H
#define COMMON_BASE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANGES_MAX 64

struct ranges {
	struct range {
		int32_t from, to; /* both of them included */
	} list[RANGES_MAX];
	size_t n;
};

/* 0; -EINVAL: not so written, or more than RANGES_MAX. Blanks round a comma are left out; "" is the empty set. */
int ranges_parse(const char *text, struct ranges *out);
bool ranges_have(const struct ranges *r, int32_t number);

#endif
