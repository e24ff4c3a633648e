/* load: the order in which comets are told to clients, by the API's list of nodes and by a comet that sends its clients away.
 * SPDX-License-Identifier: MIT */
#ifndef CLUSTER_LOAD_H
#define CLUSTER_LOAD_H

#include <stdbool.h>
#include <stdint.h>

/* A comet as this order sees it. */
struct load {
	bool leaving;        /* it sends its clients away itself */
	bool near;           /* it is of the region that is asked for */
	int64_t connections; /* its load ... */
	int64_t weight;      /* ... and its strength; below 1 counts as 1 */
	const char *name;    /* orders equal ones, in the same way in every program */
};

/* For qsort: comets that leave come last, near ones first, then the fewest connections for each unit of weight. */
int load_compare(const struct load *a, const struct load *b);

#endif
