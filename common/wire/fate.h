/* fate: what is known of a push at the moment when it is accepted. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_FATE_H
#define COMMON_WIRE_FATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FATE_ACCEPTS 8

struct fate {
	/* set by who asks */
	bool is_asked; /* what takes a while to find out, too: how many people a room has over a cluster */
	bool *is_there; /* NULL, or a place for each of the names that the push is for, all false: becomes true for those online */
	/* found out; nothing of it for a push to all */
	bool knows_online;
	size_t online;                 /* connections that the push is for; it may go to them, see filtered */
	size_t offline;                /* names, of those that the push is for, under which nobody is online */
	bool knows_filters;            /* only the comet itself does: */
	size_t filtered;               /* of those connections: they do not accept its operation, and get nothing */
	int32_t accepts[FATE_ACCEPTS]; /* what the first of them accepts, */
	unsigned n_accepts;            /* of so many operations, which may be more than have a place */
};

#endif
