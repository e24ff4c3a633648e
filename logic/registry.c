/* registry: the lists that both memories hand out. SPDX-License-Identifier: MIT */
#include "logic/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void registry_found_fini(struct registry_found *found)
{
	for (size_t i = 0; i < found->n; i++) {
		free(found->entries[i].key);
		free(found->entries[i].server);
	}
	free(found->entries);
	*found = (struct registry_found){0};
}

/* Space for one more. There is space for a power of two, so that only then there may be none. */
static int make_space(struct registry_found *found)
{
	struct registry_entry *more = found->entries;

	if ((found->n & (found->n - 1)) != 0)
		return 0;
	if ((more = reallocarray(more, found->n > 0 ? 2 * found->n : 1, sizeof(*more))) == NULL)
		return -ENOMEM;
	found->entries = more;
	return 0;
}

int registry_found_add(struct registry_found *found, const struct registry_entry *entry)
{
	struct registry_entry *to;

	if (make_space(found) < 0)
		return -ENOMEM;
	to = &found->entries[found->n++];
	*to = (struct registry_entry){strdup(entry->key), strdup(entry->server), entry->session_id, entry->of};
	return to->key != NULL && to->server != NULL ? 0 : -ENOMEM;
}

void registry_rooms_fini(struct registry_rooms *rooms)
{
	for (size_t i = 0; i < rooms->n; i++)
		free(rooms->rooms[i].room);
	free(rooms->rooms);
	*rooms = (struct registry_rooms){0};
}

static int by_count(const void *a, const void *b)
{
	const struct registry_room *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->room, y->room);
}

void registry_rooms_sort(struct registry_rooms *rooms)
{
	if (rooms->n > 1)
		qsort(rooms->rooms, rooms->n, sizeof(*rooms->rooms), by_count);
}

void registry_servers_fini(struct registry_servers *servers)
{
	for (size_t i = 0; i < servers->n; i++) {
		free(servers->servers[i].id);
		free(servers->servers[i].region);
		free(servers->servers[i].addrs);
	}
	free(servers->servers);
	*servers = (struct registry_servers){0};
}
