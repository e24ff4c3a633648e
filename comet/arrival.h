/* arrival: a client says who it is. authTCP of the Go original: ask logic, take what it says, put the connection into its bucket.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_ARRIVAL_H
#define COMET_ARRIVAL_H

#include "comet/connection.h"
#include "comet/join_body.h"
#include "comet/server.h"

/* With the AUTH of p. Waits for logic. *own: where its user's stream goes on, if it has that (joins_has_own). 0, or -errno after a connection_shutdown that says why, or that close_reason_of_read finds. */
int arrive(struct server *s, struct connection *c, struct packet *p, struct join_outcome *own);

#endif
