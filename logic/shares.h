/* shares: packets of clients in the order in which they came, and whose each is. Of several users the one who has most is found
 * at once, so that who sends much pushes out his own packets and not those of others. No lock of its own: the owner has one.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_SHARES_H
#define LOGIC_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/strmap.h"
#include "logic/upstream.h"

/* A packet that is kept. */
struct kept {
	struct upstream_entry entry;
	/* of shares */
	uint64_t number;
	struct share *share;
	struct kept *younger; /* the next one of the same user */
};

struct slot {
	uint64_t number;
	struct kept *kept; /* NULL: it has gone */
};

#define SHARE_CLASSES 512

struct shares {
	size_t bytes; /* about so much memory do the packets take, with all that is kept about them */
	/* of shares.c */
	struct strmap users;                        /* name -> struct share */
	struct share *by_size[SHARE_CLASSES];       /* those who have about as much, within an eighth */
	uint64_t in_use[SHARE_CLASSES / 64];        /* a bit for each class that is not empty */
	struct slot *slots;                         /* in the order of their numbers */
	size_t n_slots, first, n_kept, slots_space; /* first: those before it have gone */
};

void shares_init(struct shares *s);
/* Hands each packet that is left to drop(). */
void shares_fini(struct shares *s, void (*drop)(struct kept *kept));

/* The memory that this packet takes once it is here, but for what is kept about a user who is new. */
size_t shares_cost(const struct kept *kept);

/* Keep it as the newest; numbers only grow. 0, and it is ours; -ENOMEM: nothing changed. */
int shares_put(struct shares *s, struct kept *kept, uint64_t number);

/* The oldest packet of the user who has most (within an eighth), which is the caller's now; NULL: nobody has any. */
struct kept *shares_take(struct shares *s);

/* The packets whose number is above `after`, the oldest first: begin with *at = shares_find(s, after). NULL: no more. */
size_t shares_find(const struct shares *s, uint64_t after);
const struct kept *shares_next(const struct shares *s, size_t *at);

#endif
