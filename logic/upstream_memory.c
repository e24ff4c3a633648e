/* upstream_memory: see upstream.h. SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/park.h"
#include "logic/shares.h"
#include "logic/upstream.h"
#include "logic/waits_memory.h"

/* JavaScript counts on for years from here, before it is at 2^53. */
#define FIRST_MAX (UINT64_C(1) << 52)

struct memory {
	unsigned magic;
#define UPSTREAM_MAGIC 0x0b57ea30
	/* set once */
	size_t max_bytes;
	struct waits_memory waits;
	/* under its lock */
	uint64_t last; /* id of the newest entry; ids count by one, so that where one is missing a packet was lost */
	struct shares shares;
};

static struct memory *memory_of(void *self)
{
	struct memory *m = self;

	OBJ_CHECK(m, UPSTREAM_MAGIC);
	return m;
}

static void entry_fini(struct upstream_entry *entry)
{
	seat_fini(&entry->seat);
	free(entry->body);
}

static void drop(struct kept *kept)
{
	entry_fini(&kept->entry);
	free(kept);
}

void upstream_found_fini(struct upstream_found *found)
{
	for (size_t i = 0; i < found->n; i++)
		entry_fini(&found->entries[i]);
	free(found->entries);
	*found = (struct upstream_found){0};
}

static int copy_entry(const struct upstream_entry *from, struct upstream_entry *to)
{
	*to = *from;
	to->body = malloc(from->body_bytes + 1);
	if (seat_copy(&from->seat, &to->seat) < 0 || to->body == NULL) {
		entry_fini(to);
		return -ENOMEM;
	}
	if (from->body_bytes > 0)
		memcpy(to->body, from->body, from->body_bytes);
	to->body[from->body_bytes] = '\0';
	return 0;
}

static struct kept *make_kept(const struct seat *seat, const struct packet *p)
{
	const struct upstream_entry came = {.seat = *seat, .op = p->op, .body = p->body, .body_bytes = p->body_bytes};
	struct kept *kept = calloc(1, sizeof(*kept));

	if (kept != NULL && copy_entry(&came, &kept->entry) < 0) {
		free(kept);
		return NULL;
	}
	return kept;
}

/* 0, with *gone where one has to go first: come again; or -ENOMEM. There is always space for one. */
static int put_locked(struct memory *m, struct kept *kept, struct kept **gone) NEEDS(m->waits.lock)
{
	int rc;

	*gone = m->shares.bytes + shares_cost(kept) > m->max_bytes ? shares_take(&m->shares) : NULL;
	if (*gone != NULL)
		return 0;
	(void)snprintf(kept->entry.id, sizeof(kept->entry.id), "%llu", (unsigned long long)m->last + 1);
	if ((rc = shares_put(&m->shares, kept, m->last + 1)) == 0)
		m->last++;
	return rc;
}

static int append(void *self, const struct seat *seat, const struct packet *p)
{
	struct memory *m = memory_of(self);
	struct kept *kept = make_kept(seat, p), *gone;
	int rc;

	if (kept == NULL)
		return -ENOMEM;
	/* One at a time, so that no body is freed under the lock. */
	do {
		lock_take(&m->waits.lock);
		rc = put_locked(m, kept, &gone);
		lock_drop(&m->waits.lock);
		if (gone != NULL) {
			drop(gone);
			count(COUNT_UPSTREAM_DROPPED);
		}
	} while (gone != NULL);
	if (rc < 0)
		drop(kept);
	else
		waits_memory_tell(&m->waits);
	return rc;
}

static bool has_news_locked(const void *self, uint64_t after)
{
	const struct memory *m = self;
	size_t at = shares_find(&m->shares, after);

	return shares_next(&m->shares, &at) != NULL;
}

static int copy_after_locked(const struct memory *m, uint64_t after, struct upstream_found *found, size_t max)
	NEEDS(m->waits.lock)
{
	size_t at = shares_find(&m->shares, after);
	const struct kept *kept;
	int rc = 0;

	if (max > m->shares.n_kept)
		max = m->shares.n_kept;
	if ((found->entries = calloc(max + 1, sizeof(*found->entries))) == NULL)
		return -ENOMEM;
	while (rc == 0 && found->n < max && (kept = shares_next(&m->shares, &at)) != NULL)
		if ((rc = copy_entry(&kept->entry, &found->entries[found->n])) == 0)
			found->n++;
	return rc;
}

static int read_after(void *self, const struct upstream_query *query, struct upstream_found *found)
{
	struct memory *m = memory_of(self);
	char *end;
	unsigned long long after = strtoull(query->after, &end, 10);
	int rc;

	*found = (struct upstream_found){0};
	if (!isdigit((unsigned char)query->after[0]) || *end != '\0')
		return -EINVAL;
	park_wait_begin();
	lock_take(&m->waits.lock);
	/* An id from before a restart: all entries are new to that reader. */
	if (after > m->last)
		after = 0;
	if ((rc = waits_memory_wait_locked(&m->waits, after, query)) == 0)
		rc = copy_after_locked(m, after, found, query->max);
	lock_drop(&m->waits.lock);
	park_wait_end();
	if (rc < 0)
		upstream_found_fini(found);
	return rc;
}

static void stop(void *self)
{
	waits_memory_stop(&memory_of(self)->waits);
}

int upstream_memory_new(size_t max_bytes, struct upstream *out)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	m->magic = UPSTREAM_MAGIC;
	m->max_bytes = max_bytes;
	/* Above all ids that were given before a restart, as long as no more than a million came in a second. */
	m->last = (uint64_t)clock_wall_ms() * 1000;
	if (m->last > FIRST_MAX)
		m->last = FIRST_MAX;
	shares_init(&m->shares);
	waits_memory_init(&m->waits, LOCK_REGISTRY, has_news_locked, m);
	*out = (struct upstream){.append = append, .read = read_after, .stop = stop, .self = m};
	return 0;
}

void upstream_memory_free(struct upstream *u)
{
	struct memory *m = memory_of(u->self);

	shares_fini(&m->shares, drop);
	waits_memory_fini(&m->waits);
	m->magic = 0;
	free(m);
	*u = (struct upstream){0};
}
