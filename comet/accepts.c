/* accepts: see accepts.h. Under the channel's lock. SPDX-License-Identifier: MIT */
#include "comet/accepts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void accepts_fini(struct accepts *a)
{
	free(a->ops);
	*a = (struct accepts){0};
}

static int compare_ops(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

bool accepts_has(const struct accepts *a, int32_t op)
{
	return a->all || (a->n > 0 && bsearch(&op, a->ops, a->n, sizeof(op), compare_ops) != NULL);
}

/* Sorted, and each once; returns how many are left. */
static size_t put_in_order(int32_t *ops, size_t n)
{
	size_t kept = 0;

	qsort(ops, n, sizeof(*ops), compare_ops);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || ops[i] != ops[kept - 1])
			ops[kept++] = ops[i];
	return kept;
}

int accepts_add(struct accepts *a, const int32_t *ops, size_t n, size_t max)
{
	int32_t *both;
	size_t count;

	if (n == 0)
		return 0;
	if ((both = reallocarray(NULL, a->n + n, sizeof(*both))) == NULL)
		return -ENOMEM;
	if (a->n > 0)
		memcpy(both, a->ops, a->n * sizeof(*both));
	memcpy(both + a->n, ops, n * sizeof(*both));
	count = put_in_order(both, a->n + n);
	if (count > max) {
		free(both);
		return -ENOBUFS;
	}
	free(a->ops);
	a->ops = both;
	a->n = (uint32_t)count;
	return 0;
}

void accepts_keep(struct accepts *a, bool (*may)(void *arg, int32_t op), void *arg)
{
	uint32_t kept = 0;

	a->all = false;
	for (uint32_t i = 0; i < a->n; i++)
		if (may(arg, a->ops[i]))
			a->ops[kept++] = a->ops[i];
	a->n = kept;
}

static bool is_among(int32_t op, const int32_t *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ops[i] == op)
			return true;
	return false;
}

void accepts_remove(struct accepts *a, const int32_t *ops, size_t n)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < a->n; i++)
		if (!is_among(a->ops[i], ops, n))
			a->ops[kept++] = a->ops[i];
	a->n = kept;
}
