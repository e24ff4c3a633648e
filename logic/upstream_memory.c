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
#include "logic/upstream.h"

/* Each waiting reader holds a thread of the HTTP server. */
#define READERS_MAX 64

struct memory {
	unsigned magic;
#define UPSTREAM_MAGIC 0x0b57ea30
	/* set once */
	size_t keep;
	size_t max_bytes;
	/* under lock */
	struct lock lock;
	pthread_cond_t more;
	bool stop;
	unsigned readers;
	uint64_t last;  /* id of the newest entry; ids count from 1, and entry i lies at i % keep */
	uint64_t first; /* of the oldest that is there; last + 1: none is */
	size_t bytes;   /* of all that are there */
	struct upstream_entry *ring;
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

/* An entry takes about so much memory. */
static size_t bytes_of(const struct upstream_entry *entry)
{
	return sizeof(*entry) + strlen(entry->seat.key) + entry->body_bytes;
}

/* Is there no space for so many bytes more? There is always space for one entry. */
static bool must_go_locked(const struct memory *m, size_t bytes) NEEDS(m->lock)
{
	uint64_t n = m->last + 1 - m->first;

	return n == m->keep || (n > 0 && m->bytes + bytes > m->max_bytes);
}

static struct upstream_entry take_oldest_locked(struct memory *m) NEEDS(m->lock)
{
	struct upstream_entry *oldest = &m->ring[m->first % m->keep], taken = *oldest;

	m->bytes -= bytes_of(oldest);
	m->first++;
	*oldest = (struct upstream_entry){0};
	return taken;
}

static void put_locked(struct memory *m, struct upstream_entry *entry) NEEDS(m->lock)
{
	m->last++;
	m->bytes += bytes_of(entry);
	(void)snprintf(entry->id, sizeof(entry->id), "%llu", (unsigned long long)m->last);
	m->ring[m->last % m->keep] = *entry;
}

static int append(void *self, const struct seat *seat, const struct packet *p)
{
	const struct upstream_entry came = {.seat = *seat, .op = p->op, .body = p->body, .body_bytes = p->body_bytes};
	struct memory *m = memory_of(self);
	struct upstream_entry entry, old;
	bool more;
	int rc;

	if ((rc = copy_entry(&came, &entry)) < 0)
		return rc;
	/* One at a time, so that nothing is freed under the lock. */
	do {
		lock_take(&m->lock);
		if ((more = must_go_locked(m, bytes_of(&entry))))
			old = take_oldest_locked(m);
		else
			put_locked(m, &entry);
		lock_drop(&m->lock);
		if (more) {
			entry_fini(&old);
			count(COUNT_UPSTREAM_DROPPED);
		}
	} while (more);
	(void)pthread_cond_broadcast(&m->more);
	return 0;
}

static int copy_after_locked(const struct memory *m, uint64_t after, struct upstream_found *found, size_t max)
	NEEDS(m->lock)
{
	uint64_t first = after + 1 > m->first ? after + 1 : m->first;
	int rc = 0;

	if (max > m->keep)
		max = m->keep;
	if ((found->entries = calloc(max, sizeof(*found->entries))) == NULL)
		return -ENOMEM;
	for (uint64_t id = first; rc == 0 && id <= m->last && found->n < max; id++) {
		if ((rc = copy_entry(&m->ring[id % m->keep], &found->entries[found->n])) == 0)
			found->n++;
	}
	return rc;
}

static int read_after(void *self, const struct upstream_query *query, struct upstream_found *found)
{
	struct memory *m = memory_of(self);
	int64_t deadline = clock_now_ns() + query->wait_ms * CLOCK_MS;
	char *end;
	unsigned long long after = strtoull(query->after, &end, 10);
	int rc = 0;

	*found = (struct upstream_found){0};
	if (!isdigit((unsigned char)query->after[0]) || *end != '\0')
		return -EINVAL;
	lock_take(&m->lock);
	/* An id from before a restart: all entries are new to that reader. */
	if (after > m->last)
		after = 0;
	if (m->last <= after && query->wait_ms > 0 && m->readers >= READERS_MAX) {
		rc = -EBUSY;
	} else {
		m->readers++;
		while (m->last <= after && !m->stop && lock_wait_until(&m->more, &m->lock, deadline))
			;
		m->readers--;
		rc = copy_after_locked(m, after, found, query->max);
	}
	lock_drop(&m->lock);
	if (rc < 0)
		upstream_found_fini(found);
	return rc;
}

static void stop(void *self)
{
	struct memory *m = memory_of(self);

	lock_take(&m->lock);
	m->stop = true;
	lock_drop(&m->lock);
	(void)pthread_cond_broadcast(&m->more);
}

int upstream_memory_new(const struct upstream_bounds *bounds, struct upstream *out)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	if ((m->ring = calloc(bounds->entries, sizeof(*m->ring))) == NULL) {
		free(m);
		return -ENOMEM;
	}
	m->magic = UPSTREAM_MAGIC;
	m->keep = bounds->entries;
	m->max_bytes = bounds->bytes;
	m->first = 1;
	lock_init(&m->lock, LOCK_REGISTRY);
	lock_cond_init(&m->more);
	*out = (struct upstream){.append = append, .read = read_after, .stop = stop, .self = m};
	return 0;
}

void upstream_memory_free(struct upstream *u)
{
	struct memory *m = memory_of(u->self);

	for (size_t i = 0; i < m->keep; i++)
		entry_fini(&m->ring[i]);
	free(m->ring);
	(void)pthread_cond_destroy(&m->more);
	lock_fini(&m->lock);
	m->magic = 0;
	free(m);
	*u = (struct upstream){0};
}
