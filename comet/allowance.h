/* allowance: how much one client may send. A client that sends more is read more slowly: it waits as for a full ring, through
 * TCP, and nothing is lost. For the reader. SPDX-License-Identifier: MIT */
#ifndef COMET_ALLOWANCE_H
#define COMET_ALLOWANCE_H

#include "comet/connection.h"
#include "comet/server.h"

/* After a packet, or what came in its place: until when is nothing more to be read from this client? 0: read on; otherwise
 * counted, and logged. */
int64_t allowance_use(const struct server *s, struct connection *c, const struct packet *p);

/* It has asked for so many rooms: held back, counted and logged if that is too fast. */
void allowance_use_joins(const struct server *s, struct connection *c, size_t rooms);

#endif
