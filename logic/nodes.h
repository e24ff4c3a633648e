/* nodes: which comets a client is sent to. Pure functions. SPDX-License-Identifier: MIT */
#ifndef LOGIC_NODES_H
#define LOGIC_NODES_H

#include <jansson.h>
#include <stdbool.h>

#include "logic/registry.h"

/* At most five hosts, of this region ("": of none) first, the least loaded for its weight first; none of a comet that sends its
 * clients away. With `names` (for clients on the web, whose certificates have names) only names, without only addresses; where
 * a cluster has only the other kind, that. *ports become those of the first host, as far as its server tells them. Puts the servers in
 * order. NULL: no memory. */
json_t *nodes_list(struct registry_servers *servers, const char *region, bool names, struct client_ports *ports);

#endif
