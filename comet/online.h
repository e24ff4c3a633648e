/* online: tells logic the room counts of this comet, brings back the counts of all, and notes each second in s->chronicle. One thread.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_ONLINE_H
#define COMET_ONLINE_H

#include "comet/server.h"

struct online;

/* Tell logic every interval_ms; where `only_changes`, not while nothing has changed. 0, -ENOMEM, -EAGAIN. */
int online_start(struct server *s, int64_t interval_ms, bool only_changes, struct online **out);
void online_stop(struct online **o);

#endif
