/* redis_master: see redis_master.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_master.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/base/lock.h"

static atomic_uint switches;
static struct lock lock = LOCK_STATIC(LOCK_POOL);
/* under lock */
static char current[REDIS_MASTER_BYTES], left[REDIS_MASTER_BYTES];

unsigned redis_master_switches(void)
{
	return atomic_load(&switches);
}

unsigned redis_master_is(const char *address)
{
	unsigned n;

	lock_take(&lock);
	if (strcmp(address, current) != 0) {
		if (current[0] != '\0') {
			memcpy(left, current, sizeof(left));
			(void)atomic_fetch_add(&switches, 1);
		}
		(void)snprintf(current, sizeof(current), "%s", address);
	}
	n = atomic_load(&switches);
	lock_drop(&lock);
	return n;
}

bool redis_master_was_left(const char *address)
{
	bool was;

	lock_take(&lock);
	was = strcmp(address, left) == 0;
	lock_drop(&lock);
	return was;
}

bool redis_master_is_known(const char *address)
{
	bool is;

	lock_take(&lock);
	is = current[0] == '\0' || strcmp(address, current) == 0;
	lock_drop(&lock);
	return is;
}
