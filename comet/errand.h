/* errand: what a packet of a client asks for, before anybody does it. For the reader. SPDX-License-Identifier: MIT */
#ifndef COMET_ERRAND_H
#define COMET_ERRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "comet/connection.h"
#include "comet/server.h"

/* Is it JOIN or LEAVE, from a client with streams? It then waits for space in the queue of messages, by which its answer goes. */
bool errand_is_join(const struct connection *c, const struct packet *p);
/* Is it ACK, from a client with streams? It is not answered. */
bool errand_is_ack(const struct connection *c, const struct packet *p);
/* Is a packet with this operation one for the back end? */
bool errand_goes_up(const struct server *s, const struct connection *c, int32_t op);
/* Does its answer need another program, or may it? Then it has one of the turns of logic.calls. */
bool errand_waits(const struct server *s, const struct connection *c, const struct packet *p);
/* In comet_packets_in_total. */
void errand_count(const struct connection *c, int32_t op);

#endif
