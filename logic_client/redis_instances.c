/* redis_instances: see redis_instances.h. SPDX-License-Identifier: MIT */
#include "logic_client/redis_instances.h"

#include <string.h>

static struct redis_instance *find(struct redis_instances *i, const char *name)
{
	for (size_t k = 0; k < i->n; k++)
		if (strcmp(i->all[k].name, name) == 0)
			return &i->all[k];
	return NULL;
}

void redis_instances_set(struct redis_instances *i, const struct redis_instance *list, size_t n)
{
	struct redis_instances fresh = {.next = i->next};

	for (size_t k = 0; k < n && k < REDIS_INSTANCES_MAX; k++) {
		const struct redis_instance *old = find(i, list[k].name);

		fresh.all[fresh.n] = list[k];
		fresh.all[fresh.n++].silent_at = old != NULL ? old->silent_at : 0;
	}
	*i = fresh;
}

static bool is_silent(const struct redis_instance *one)
{
	return one->silent_at >= one->until_ms;
}

bool redis_instances_pick(struct redis_instances *i, const char *but, char name[REDIS_INSTANCE_BYTES])
{
	const struct redis_instance *best = NULL;
	int best_is = 0;

	for (size_t k = 0; k < i->n; k++) {
		const struct redis_instance *one = &i->all[(i->next + k) % i->n];
		int is = 1 + 2 * !is_silent(one) + (but == NULL || strcmp(one->name, but) != 0);

		if (is > best_is) {
			best = one;
			best_is = is;
		}
	}
	if (best == NULL)
		return false;
	i->next = (size_t)(best - i->all) + 1;
	memcpy(name, best->name, REDIS_INSTANCE_BYTES);
	return true;
}

void redis_instances_gone(struct redis_instances *i, const char *name)
{
	struct redis_instance *one = find(i, name);

	if (one != NULL)
		*one = i->all[--i->n];
}

void redis_instances_silent(struct redis_instances *i, const char *name)
{
	struct redis_instance *one = find(i, name);

	if (one != NULL)
		one->silent_at = one->until_ms;
}
