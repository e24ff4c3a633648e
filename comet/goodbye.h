/* goodbye: the words of op 6: the reason, and other servers for the client when this comet is going away.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_GOODBYE_H
#define COMET_GOODBYE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "comet/close_reason.h"
#include "logic_client/logic_client.h"

#define GOODBYE_NODES 5
/* Space for every goodbye: the words, and so many addresses. */
#define GOODBYE_BYTES (256 + GOODBYE_NODES * (LOGIC_NODE_BYTES + 4))

/* Some of the nodes, next to each other: those of our region, or the others. */
struct goodbye_group {
	size_t start, n;
	int64_t weights; /* of all together */
};

/* All zero: there is no other server. */
struct goodbye {
	/* set before n is, which readers look at first */
	struct logic_node nodes[GOODBYE_NODES];
	struct goodbye_group near, far; /* in this order */
	_Atomic size_t n;
	/* any thread */
	atomic_uint turns;
};

/* The other servers for clients, told from now on with CLOSE_DRAINING; at most GOODBYE_NODES are taken. Once, on the thread that
 * then begins the drain. */
void goodbye_set_nodes(struct goodbye *g, const struct logic_node *nodes, size_t n);

/* The body of op 6: {"code":4,"reason":"...","nodes":["10.0.0.2:3101"]}, where nodes are known and of use. Those of
 * our region stand before the others; each goodbye begins with another one of them, in proportion to their weights.
 * `detail` and the cutting are those of close_reason_body; returns the length without the zero byte. Any thread. */
size_t goodbye_body(struct goodbye *g, enum close_reason why, const char *detail, char *text, size_t text_bytes);

#endif
