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
	struct joined *j;

	if (*js == NULL)
		return;
	while ((j = (*js)->all) != NULL) {
		(*js)->all = j->next;
		free(j);
	}
	free(*js);
	*js = NULL;
}
