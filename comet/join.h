/* join: JOIN and LEAVE, by which a client with streams says in which rooms it is. For the reader. SPDX-License-Identifier: MIT */
#ifndef COMET_JOIN_H
#define COMET_JOIN_H

#include "comet/connection.h"
#include "comet/server.h"

/* Does this packet ask for it? It then waits for space in the queue of messages, by which its answer goes. */
static inline bool join_is_asked(const struct connection *c, const struct packet *p)
{
	return c->joins != NULL && p->kind == PACKET_WHOLE && (p->op == OP_JOIN || p->op == OP_LEAVE);
}

/* Do it, and queue the answer: p becomes nothing, its slot is free. What the client missed comes by joins_replay. May wait for logic,
 * and says so to the park. 0; -ENOMEM; -EPIPE: closed. */
int join(struct server *s, struct connection *c, struct packet *p);

#endif
