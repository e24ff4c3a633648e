/* goodbye: see goodbye.h. SPDX-License-Identifier: MIT */
#include "comet/goodbye.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Set before n_nodes is, which readers look at first. */
static struct logic_node nodes[GOODBYE_NODES];
static int64_t all_weights;
static _Atomic size_t n_nodes;

/* Addresses stand in JSON as they are: what would have to be escaped is no address. */
static bool is_plain(const char *address)
{
	return address[0] != '\0' && strpbrk(address, "\"\\") == NULL && address[strcspn(address, "\n\r\t")] == '\0';
}

void goodbye_set_nodes(const struct logic_node *list, size_t n)
{
	size_t taken = 0;

	all_weights = 0;
	for (size_t i = 0; i < n && taken < GOODBYE_NODES; i++) {
		if (!is_plain(list[i].address))
			continue;
		nodes[taken] = list[i];
		if (nodes[taken].weight < 1)
			nodes[taken].weight = 1;
		all_weights += nodes[taken++].weight;
	}
	atomic_store_explicit(&n_nodes, taken, memory_order_release);
}

/* The node to begin with: all who are sent away one after another shall not run to the same one. */
static size_t first_node(size_t n)
{
	static atomic_uint turn;
	/* The golden ratio's share of 2^32 spreads successive turns evenly over the range. */
	uint32_t spread = atomic_fetch_add(&turn, 1) * 2654435769U;
	int64_t at = (int64_t)(((uint64_t)spread * (uint64_t)all_weights) >> 32);
	size_t i = 0;

	while (i + 1 < n && at >= nodes[i].weight)
		at -= nodes[i++].weight;
	return i;
}

size_t goodbye_body(enum close_reason why, const char *detail, char *text, size_t text_bytes)
{
	size_t n = close_reason_body(why, detail, text, text_bytes);
	size_t known = why == CLOSE_DRAINING ? atomic_load_explicit(&n_nodes, memory_order_acquire) : 0;
	size_t first;

	if (known == 0 || text_bytes < GOODBYE_BYTES)
		return n;
	first = first_node(known);
	n--; /* the brace */
	for (size_t i = 0; i < known; i++)
		n += (size_t)snprintf(text + n, text_bytes - n, "%s\"%s\"", i == 0 ? ",\"nodes\":[" : ",",
				      nodes[(first + i) % known].address);
	n += (size_t)snprintf(text + n, text_bytes - n, "]}");
	return n;
}
