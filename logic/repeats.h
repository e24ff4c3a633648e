/* repeats: pushes that a caller has named, so that he can send them again without having them delivered twice. For five minutes, and
 * so many at most. Any thread; takes LOCK_POOL. SPDX-License-Identifier: MIT */
#ifndef LOGIC_REPEATS_H
#define LOGIC_REPEATS_H

#include <stdint.h>

#define REPEATS_NAME_BYTES 64 /* of a caller's name for a push, at most */

struct repeats;

/* 0 or -ENOMEM. */
int repeats_new(struct repeats **out);
void repeats_free(struct repeats **r);

/* Is this the first push of this name to the room, or to a user's stream (its name as `room`)?
 *   0          yes: repeats_end follows
 *   -EALREADY  it was accepted, with this number; counted
 *   -EBUSY     it is under way
 *   -ENOMEM */
int repeats_begin(struct repeats *r, const char *room, const char *name, uint64_t *number);
/* It was accepted with this number, or not (NULL): then the next one is the first. */
void repeats_end(struct repeats *r, const char *room, const char *name, const uint64_t *number);

#endif
