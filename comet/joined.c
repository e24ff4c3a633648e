/* joined: see joined.h. SPDX-License-Identifier: MIT */
#include "comet/joined.h"

#include <errno.h>
#include <stdlib.h>

int joins_new(struct joins **out)
{
	return (*out = calloc(1, sizeof(**out))) != NULL ? 0 : -ENOMEM;
}

void joins_free(struct joins **js)
{
	struct joined *j, *next;

	if (*js == NULL)
		return;
	for (j = atomic_load(&(*js)->all); j != NULL; j = next) {
		next = j->next;
		free(j);
	}
	free(*js);
	*js = NULL;
}
