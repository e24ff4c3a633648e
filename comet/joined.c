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

struct joined *joins_place(struct joins *js, struct connection *c)
{
	struct joined *j = atomic_load(&js->all);

	while (j != NULL && atomic_load(&j->member.room) != NULL)
		j = j->next;
	if (j != NULL || (j = calloc(1, sizeof(*j))) == NULL)
		return j;
	j->member.connection = c;
	atomic_init(&j->member.after, MEMBERSHIP_DEAF);
	j->next = atomic_load(&js->all);
	atomic_store(&js->all, j);
	return j;
}
