/* milestones: what the log says of a connection's life. On its reader's thread. SPDX-License-Identifier: MIT */
#ifndef COMET_MILESTONES_H
#define COMET_MILESTONES_H

#include "comet/close_reason.h"
#include "comet/connection.h"
#include "comet/server.h"

void milestones_say_authenticated(const struct connection *c);
/* Before it leaves its rooms: keep one of them for the line of its end, where that will be written. Without memory it has none. */
void milestones_keep_room(struct server *s, struct connection *c, enum close_reason why);
/* The last line, and the end of its trace. c->reason says why. */
void milestones_say_closed(struct connection *c);

#endif
