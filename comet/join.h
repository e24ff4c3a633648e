/* join: JOIN and LEAVE, by which a client with streams says in which rooms it is. For the reader. SPDX-License-Identifier: MIT */
#ifndef COMET_JOIN_H
#define COMET_JOIN_H

#include "comet/connection.h"
#include "comet/server.h"

/* What became of a room in JOIN: labels of comet_joins_total. */
enum join_result { JOIN_LIVE, JOIN_REPLAYED, JOIN_GAP, JOIN_REFUSED, JOIN_UNAVAILABLE, JOIN_RESULTS };

/* Do it, and queue the answer: p becomes nothing, its slot is free. What the client missed comes by joins_replay. May wait for logic,
 * and says so to the park. 0; -ENOMEM; -EPIPE: closed. */
int join(struct server *s, struct connection *c, struct packet *p);

#endif
