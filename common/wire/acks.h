/* acks: what the devices of one user have confirmed of his stream: the position of each, by its key. At most ACKS_MAX of them: one more
 * takes the place of the lowest. Knows no stream, and has no lock: its owner has one. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_ACKS_H
#define COMMON_WIRE_ACKS_H

#include <stddef.h>
#include <stdint.h>

#define ACKS_MAX 16

struct ack {
	char *key; /* its own copy */
	uint64_t at;
};

/* All zero: none. */
struct acks {
	struct ack *of;
	size_t n;
};

/* Of the user whose stream has this name (common/base/kept.h). */
struct acks_of {
	const char *name;
	struct acks acks;
};

void acks_fini(struct acks *a);
/* The device has confirmed all up to `at`; a lower position than before changes nothing. 0 or -ENOMEM. */
int acks_set(struct acks *a, const char *key, uint64_t at);
/* Its position; 0: none is known. With NULL the highest of all. */
uint64_t acks_get(const struct acks *a, const char *key);
/* 0; -ENOMEM: *to is empty. */
int acks_copy(const struct acks *from, struct acks *to);

#endif
