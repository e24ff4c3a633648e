/* connections: see connections.h. SPDX-License-Identifier: MIT */
#include "comet/connections.h"

#include <errno.h>
#include <stdlib.h>

int connections_reserve(struct connections *list, size_t n)
{
	struct connection **all;

	if (list->n + n <= list->capacity)
		return 0;
	all = reallocarray(list->all, list->n + n, sizeof(struct connection *));
	if (all == NULL)
		return -ENOMEM;
	list->all = all;
	list->capacity = list->n + n;
	return 0;
}

void connections_drop(struct connections *list)
{
	for (size_t i = 0; i < list->n; i++)
		connection_unref(&list->all[i]);
	free(list->all);
	*list = (struct connections){0};
}
