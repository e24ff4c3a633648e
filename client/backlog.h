/* backlog: packets that came while an answer was waited for, in their order. It belongs to one thread at a time.
 * SPDX-License-Identifier: MIT */
#ifndef CLIENT_BACKLOG_H
#define CLIENT_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "common/wire/packet.h"

#define BACKLOG_MAX   4096
#define BACKLOG_BYTES (64u << 20) /* of bodies; a server's longest has a quarter */

/* All 0 is an empty one. */
struct backlog {
	struct waiting *first, *last;
	unsigned n;
	size_t bytes; /* of their bodies */
};

/* With a copy of its body: 0, -ENOMEM, or -ENOBUFS: it would be more than BACKLOG_MAX of them, or than BACKLOG_BYTES. */
int backlog_put(struct backlog *b, const struct packet *p);
/* The first one; its body is the caller's to drop. False: there is none. */
bool backlog_take(struct backlog *b, struct packet *p);
void backlog_fini(struct backlog *b);

#endif
