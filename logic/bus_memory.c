/* bus_memory: the bus of a program that runs alone: a call. SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "logic/bus.h"

static int push(void *self, const char *server, const struct wire_push *push_)
{
	const struct bus_memory *memory = self;

	(void)server; /* there is one */
	return memory->sink(memory->sink_self, push_);
}

static void look(void *self, const struct wire_push *push_, struct fate *fate)
{
	const struct bus_memory *memory = self;

	memory->look(memory->sink_self, push_, fate);
}

struct bus bus_memory(struct bus_memory *memory)
{
	return (struct bus){.push = push, .look = memory->look != NULL ? look : NULL, .self = memory};
}
