/* acks: see acks.h. SPDX-License-Identifier: MIT */
#include "common/wire/acks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/obj.h"

void acks_fini(struct acks *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->of[i].key);
	free(a->of);
	*a = (struct acks){0};
}

/* The device's own place, or a free one, or that of the lowest, if that is lower than `at`. NULL: there is none for it. */
static struct ack *find_place(struct acks *a, const char *key, uint64_t at)
{
	struct ack *lowest = &a->of[0];

	for (size_t i = 0; i < a->n; i++) {
		BUG_UNLESS(a->of[i].key != NULL);
		if (strcmp(a->of[i].key, key) == 0)
			return &a->of[i];
		if (a->of[i].at < lowest->at)
			lowest = &a->of[i];
	}
	if (a->n < ACKS_MAX)
		return &a->of[a->n];
	return lowest->at < at ? lowest : NULL;
}

int acks_set(struct acks *a, const char *key, uint64_t at)
{
	struct ack *place;
	char *copy;

	if (a->of == NULL && (a->of = calloc(ACKS_MAX, sizeof(*a->of))) == NULL)
		return -ENOMEM;
	if ((place = find_place(a, key, at)) == NULL)
		return 0;
	if (place->key == NULL || strcmp(place->key, key) != 0) {
		if ((copy = strdup(key)) == NULL)
			return -ENOMEM;
		free(place->key);
		*place = (struct ack){.key = copy};
		if (place == &a->of[a->n])
			a->n++;
	}
	if (at > place->at)
		place->at = at;
	return 0;
}

uint64_t acks_get(const struct acks *a, const char *key)
{
	uint64_t at = 0;

	for (size_t i = 0; i < a->n; i++)
		if ((key == NULL || strcmp(a->of[i].key, key) == 0) && a->of[i].at > at)
			at = a->of[i].at;
	return at;
}

int acks_copy(const struct acks *from, struct acks *to)
{
	int rc = 0;

	*to = (struct acks){0};
	for (size_t i = 0; rc == 0 && i < from->n; i++)
		rc = acks_set(to, from->of[i].key, from->of[i].at);
	if (rc < 0)
		acks_fini(to);
	return rc;
}
