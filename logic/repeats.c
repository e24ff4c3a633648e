/* repeats: see repeats.h. SPDX-License-Identifier: MIT */
#include "logic/repeats.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/lock.h"
#include "common/base/strmap.h"
#include "common/wire/user.h"

#define KEEP_NS (300 * CLOCK_SEC)
/* About 75 MB with the longest names, 15 with short ones; the oldest go first. */
#define MOST 100000

/* The stream's and the push's name, which has no zero byte and no newline as a header's value. */
#define KEY_BYTES (USER_STREAM_BYTES + REPEATS_NAME_BYTES + 1)

struct repeat {
	struct repeat *next; /* accepted later */
	uint64_t number;
	int64_t until_ns; /* 0: under way */
	char key[];
};

struct repeats {
	struct lock lock;
	struct strmap all;
	struct repeat *oldest, *newest; /* of those that were accepted */
};

int repeats_new(struct repeats **out)
{
	struct repeats *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	lock_init(&r->lock, LOCK_POOL);
	strmap_init(&r->all);
	*out = r;
	return 0;
}

void repeats_free(struct repeats **repeats)
{
	struct repeats *r = *repeats;

	strmap_drop_all(&r->all, free);
	lock_fini(&r->lock);
	free(r);
	*repeats = NULL;
}

static void key_of(const char *room, const char *name, char key[KEY_BYTES])
{
	(void)snprintf(key, KEY_BYTES, "%s\n%s", name, room);
}

/* Forget those whose time is over, and the oldest where there are too many. */
static void forget_locked(struct repeats *r, int64_t now) NEEDS(r->lock)
{
	struct repeat *one;

	while ((one = r->oldest) != NULL && (one->until_ns < now || r->all.count > MOST)) {
		if ((r->oldest = one->next) == NULL)
			r->newest = NULL;
		(void)strmap_del(&r->all, one->key);
		free(one);
	}
}

static int put_locked(struct repeats *r, const char *key) NEEDS(r->lock)
{
	const size_t bytes = strlen(key) + 1;
	struct repeat *one = calloc(1, sizeof(*one) + bytes);

	if (one == NULL)
		return -ENOMEM;
	memcpy(one->key, key, bytes);
	if (strmap_put(&r->all, key, one, NULL) < 0) {
		free(one);
		return -ENOMEM;
	}
	return 0;
}

int repeats_begin(struct repeats *r, const char *room, const char *name, uint64_t *number)
{
	const struct repeat *one;
	char key[KEY_BYTES];
	int rc;

	key_of(room, name, key);
	lock_take(&r->lock);
	forget_locked(r, clock_now_ns());
	if ((one = strmap_get(&r->all, key)) == NULL) {
		rc = put_locked(r, key);
	} else {
		*number = one->number;
		rc = one->until_ns != 0 ? -EALREADY : -EBUSY;
	}
	lock_drop(&r->lock);
	if (rc == -EALREADY)
		count(COUNT_PUSHES_REPEATED);
	return rc;
}

void repeats_end(struct repeats *r, const char *room, const char *name, const uint64_t *number)
{
	struct repeat *one;
	char key[KEY_BYTES];

	key_of(room, name, key);
	lock_take(&r->lock);
	one = number == NULL ? strmap_del(&r->all, key) : strmap_get(&r->all, key);
	if (number != NULL) {
		one->number = *number;
		one->until_ns = clock_now_ns() + KEEP_NS;
		if (r->newest != NULL)
			r->newest->next = one;
		else
			r->oldest = one;
		r->newest = one;
		one = NULL;
	}
	lock_drop(&r->lock);
	free(one);
}
