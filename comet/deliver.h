/* deliver: the last step of a push: one message, one connection. SPDX-License-Identifier: MIT */
#ifndef COMET_DELIVER_H
#define COMET_DELIVER_H

#include <stdbool.h>

#include "comet/connection.h"
#include "comet/connections.h"
#include "comet/room.h"
#include "comet/server.h"
#include "common/wire/message.h"

/* Write the message, queue it, or count why not; a full queue meets protocol.slow_consumer. Holds no lock while it writes;
 * never waits for the peer, but for our own dispatcher up to a second, where that is what a full queue waits for. `filter`:
 * only if the connection accepts the operation. Any thread. */
void deliver(struct server *s, struct connection *c, struct message *message, bool filter);

/* The same to one that accepts the operation, but false where it would have to wait: nothing was done, nor counted. */
bool deliver_at_once(struct server *s, struct connection *c, struct message *message);

/* n messages to each of the list, in its order, with one write for each connection; drops the list. To all: to those that accept
 * the operation. To the members of a room: to those that are in it still. */
void deliver_to_all(struct server *s, struct connections *all, struct message *const *messages, unsigned n);
void deliver_to_members(struct server *s, struct members *list, struct message *const *messages, unsigned n);

/* There was no memory for the list of members: those who have joined the room are closed, since its numbered pushes are never missed
 * in silence, and come again with their positions. */
void deliver_to_nobody(struct room *room);

#endif
