/* connections: a list of references, to push to all of them with no lock held. SPDX-License-Identifier: MIT */
#ifndef COMET_CONNECTIONS_H
#define COMET_CONNECTIONS_H

#include <stddef.h>

#include "comet/connection.h"

/* All zero: an empty one. */
struct connections {
	struct connection **all;
	size_t n;
	size_t capacity;
};

/* Make space for n more. 0 or -ENOMEM. */
int connections_reserve(struct connections *list, size_t n);
/* Add one for which there is space; the list takes a reference of its own. */
static inline void connections_add(struct connections *list, struct connection *c)
{
	list->all[list->n++] = connection_ref(c);
}
/* Drop all references, and free. The list is then empty. Not under a lock. */
void connections_drop(struct connections *list);

#endif
