/* inbox: bytes that have come and that nobody has taken yet. It knows no socket, and belongs to one thread at a time.
 * SPDX-License-Identifier: MIT */
#ifndef CLIENT_INBOX_H
#define CLIENT_INBOX_H

#include <stddef.h>
#include <stdint.h>

struct inbox {
	uint8_t *bytes; /* what is held: bytes[start..end) */
	size_t cap, start, end;
};

/* 0 or -ENOMEM; then it is as it was. */
int inbox_put(struct inbox *box, const void *bytes, size_t n);
/* At most max of the first ones; returns how many. */
size_t inbox_take(struct inbox *box, uint8_t *out, size_t max);
size_t inbox_held(const struct inbox *box);
/* Free the memory; it is empty then. */
void inbox_fini(struct inbox *box);

#endif
