/* load: see load.h. SPDX-License-Identifier: MIT */
#include "cluster/load.h"

#include <string.h>

int load_compare(const struct load *a, const struct load *b)
{
	/* Without dividing. */
	int64_t left = a->connections * (b->weight > 0 ? b->weight : 1);
	int64_t right = b->connections * (a->weight > 0 ? a->weight : 1);

	if (a->leaving != b->leaving)
		return a->leaving ? 1 : -1;
	if (a->near != b->near)
		return a->near ? -1 : 1;
	if (left != right)
		return left < right ? -1 : 1;
	return strcmp(a->name, b->name);
}
