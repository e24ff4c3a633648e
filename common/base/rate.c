/* rate: see rate.h. SPDX-License-Identifier: MIT */
#include "common/base/rate.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/strmap.h"

/* Of one row of a table; 512 KiB for both. With a thousand names in it, one in a thousand shares both its buckets. */
#define ROW_CELLS 32768

/* The time in which n gather. Rounded down, so that a second's worth goes into a second. */
static int64_t time_of(const struct rate *rate, int64_t n)
{
	return n * CLOCK_SEC / rate->per_second;
}

static int64_t later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t rate_take(const struct rate *rate, int64_t *full_ns, int64_t now, int64_t n)
{
	int64_t full, wait;

	if (rate->per_second == 0)
		return 0;
	full = later_of(*full_ns, now) + time_of(rate, n);
	wait = full - now - later_of(rate->burst_ns, time_of(rate, n));
	if (wait > 0)
		return wait;
	*full_ns = full;
	return 0;
}

int64_t rate_pace(const struct rate *rate, int64_t *full_ns, int64_t now, int64_t n)
{
	if (rate->per_second == 0)
		return 0;
	*full_ns = later_of(*full_ns, now) + time_of(rate, n);
	return later_of(*full_ns - now - rate->burst_ns, 0);
}

int rate_table_init(struct rate_table *t)
{
	t->cells = calloc(2 * ROW_CELLS, sizeof(*t->cells));
	return t->cells != NULL ? 0 : -ENOMEM;
}

void rate_table_fini(struct rate_table *t)
{
	free(t->cells);
	t->cells = NULL;
}

/* The two buckets of a name. A neighbour only ever takes out of a bucket that is not its own: the fuller one is nearer to the
 * truth. */
struct pair {
	int64_t *one, *other;
};

static struct pair find(const struct rate_table *t, const char *name, int64_t *full)
{
	uint64_t hash = strmap_hash(name);
	struct pair p = {&t->cells[hash % ROW_CELLS], &t->cells[ROW_CELLS + (hash >> 32) % ROW_CELLS]};

	*full = *p.one < *p.other ? *p.one : *p.other;
	return p;
}

static void put(struct pair p, int64_t full)
{
	*p.one = later_of(*p.one, full);
	*p.other = later_of(*p.other, full);
}

int64_t rate_table_take(struct rate_table *t, const struct rate *rate, const char *name, int64_t now, int64_t n)
{
	int64_t full, wait;
	struct pair p = find(t, name, &full);

	wait = rate_take(rate, &full, now, n);
	if (wait == 0)
		put(p, full);
	return wait;
}

void rate_table_spend(struct rate_table *t, const struct rate *rate, const char *name, int64_t now)
{
	int64_t full;
	struct pair p = find(t, name, &full);

	(void)rate_pace(rate, &full, now, 1);
	put(p, full);
}

int64_t rate_table_ask(const struct rate_table *t, const struct rate *rate, const char *name, int64_t now)
{
	int64_t full;

	(void)find(t, name, &full);
	return rate_take(rate, &full, now, 1);
}
