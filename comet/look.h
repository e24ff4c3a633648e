/* look: sees the connections that a push is for, at the moment when it is accepted. SPDX-License-Identifier: MIT */
#ifndef COMET_LOOK_H
#define COMET_LOOK_H

#include "comet/server.h"
#include "common/wire/fate.h"
#include "common/wire/wire.h"

/* Of a push to keys: which of them are here, and which of those do not accept its operation. Of one to a room, whose members get
 * whatever is pushed: how many they are. Any thread, no lock held; takes one lock after the other for an instant each. */
void look_at(struct server *s, const struct wire_push *push, struct fate *fate);

#endif
