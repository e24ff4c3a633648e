/* goodbye: see goodbye.h. SPDX-License-Identifier: MIT */
#include "comet/goodbye.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Addresses stand in JSON as they are: a text that would have to be escaped is no address. */
static bool is_plain(const char *address)
{
	return address[0] != '\0' && strpbrk(address, "\"\\") == NULL && address[strcspn(address, "\n\r\t")] == '\0';
}

/* Take those that are of our region, or are not, as far as there is space. */
static struct goodbye_group take(struct goodbye *goodbye, const struct logic_node *list, size_t n, bool near_ones,
				 size_t start)
{
	struct goodbye_group g = {.start = start};

	for (size_t i = 0; i < n && g.start + g.n < GOODBYE_NODES; i++) {
		struct logic_node *node = &goodbye->nodes[g.start + g.n];

		if (list[i].near != near_ones || !is_plain(list[i].address))
			continue;
		*node = list[i];
		if (node->weight < 1)
			node->weight = 1;
		g.weights += node->weight;
		g.n++;
	}
	return g;
}

void goodbye_set_nodes(struct goodbye *g, const struct logic_node *list, size_t n)
{
	g->near = take(g, list, n, true, 0);
	g->far = take(g, list, n, false, g->near.n);
	atomic_store_explicit(&g->n, g->near.n + g->far.n, memory_order_release);
}

/* The one of these nodes to begin with: clients that are sent away one after another shall not run to the same one. */
static size_t first_node(const struct logic_node *nodes, size_t n, int64_t weights, uint32_t turn)
{
	/* The golden ratio's share of 2^32 spreads successive turns evenly over the range. */
	uint32_t spread = turn * 2654435769U;
	int64_t at = (int64_t)(((uint64_t)spread * (uint64_t)weights) >> 32);
	size_t i = 0;

	while (i + 1 < n && at >= nodes[i].weight)
		at -= nodes[i++].weight;
	return i;
}

/* Those of one group; how many bytes. `text` has space for all. */
static size_t add_group(const struct goodbye *goodbye, const struct goodbye_group *g, uint32_t turn, char *text,
			size_t text_bytes)
{
	const struct logic_node *nodes = &goodbye->nodes[g->start];
	size_t first = first_node(nodes, g->n, g->weights, turn), n = 0;

	for (size_t i = 0; i < g->n; i++)
		n += (size_t)snprintf(text + n, text_bytes - n, "%s\"%s\"", g->start + i == 0 ? "" : ",",
				      nodes[(first + i) % g->n].address);
	return n;
}

size_t goodbye_body(struct goodbye *g, enum close_reason why, const char *detail, char *text, size_t text_bytes)
{
	size_t n = close_reason_body(why, detail, text, text_bytes);
	size_t known = why == CLOSE_DRAINING ? atomic_load_explicit(&g->n, memory_order_acquire) : 0;
	uint32_t turn;

	if (known == 0 || text_bytes < GOODBYE_BYTES)
		return n;
	turn = atomic_fetch_add(&g->turns, 1);
	n--; /* the brace */
	n += (size_t)snprintf(text + n, text_bytes - n, ",\"nodes\":[");
	n += add_group(g, &g->near, turn, text + n, text_bytes - n);
	n += add_group(g, &g->far, turn, text + n, text_bytes - n);
	n += (size_t)snprintf(text + n, text_bytes - n, "]}");
	return n;
}
