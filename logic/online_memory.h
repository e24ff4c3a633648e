/* online_memory: the comets and the counts of their rooms, in the memory of a program that runs alone. Part of
 * registry_memory. Any thread. SPDX-License-Identifier: MIT */
#ifndef LOGIC_ONLINE_MEMORY_H
#define LOGIC_ONLINE_MEMORY_H

#include <stddef.h>

#include "common/base/lock.h"
#include "common/base/strmap.h"
#include "logic/registry.h"

/* The fields are online_memory.c's. */
struct online_memory {
	/* under lock */
	struct lock lock;
	struct strmap servers; /* by id */
};

void online_memory_init(struct online_memory *o);
void online_memory_fini(struct online_memory *o);

/* See struct registry. */
int online_memory_put(struct online_memory *o, const struct registry_server *told, const struct registry_room *rooms,
		      size_t n) WITHOUT(o->lock);
int online_memory_rooms(struct online_memory *o, struct registry_rooms *out) WITHOUT(o->lock);
int online_memory_servers(struct online_memory *o, struct registry_servers *out) WITHOUT(o->lock);
/* Forget a comet and its rooms. */
void online_memory_del(struct online_memory *o, const char *server) WITHOUT(o->lock);

#endif
