/* who: a page of the connections of this comet, as the HTTP API shows them. SPDX-License-Identifier: MIT */
#ifndef COMET_WHO_H
#define COMET_WHO_H

#include "comet/server.h"
#include "common/wire/who.h"

/* Of each: its "key", "mid" and "user", "comet" (this name), "since_ms", "address", "transport", "rooms" (the first hundred, and 1 MiB of
 * names on a page; "rooms_more" counts the others), "operations" (absent: all) and "queued" messages. One whose key is not UTF-8 is left
 * out. All connections are walked through for a page of all, the room's for one of a room. Any thread, no lock held. 0; -ENOMEM, -ENOSPC
 * (whitelist_ask), with no page. */
int who_list(struct server *s, const char *name, const struct who_query *query, struct who_page *page);

#endif
