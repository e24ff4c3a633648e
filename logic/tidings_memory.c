/* tidings_memory: see tidings.h. Each event is kept as the JSON that back ends get. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/park.h"
#include "common/config/event_kinds.h"
#include "logic/tidings.h"
#include "logic/waits_memory.h"

/* Of an event beside its text: malloc's share. */
#define TIDING_BYTES 32

struct memory {
	unsigned magic;
#define TIDINGS_MAGIC 0x71d1265e
	/* set once */
	unsigned wanted; /* common/config/event_kinds.h */
	char *comet;
	size_t most, bytes_most;
	uint64_t begin; /* ids of before the start are not above it */
	struct waits_memory waits;
	/* under its lock */
	uint64_t last; /* id of the newest; they count by one */
	char **texts;  /* a ring; NULL: there was no memory for that one */
	size_t first, n, bytes;
};

static struct memory *memory_of(void *self)
{
	struct memory *m = self;

	OBJ_CHECK(m, TIDINGS_MAGIC);
	return m;
}

/* ---- telling ---- */

static size_t cost(const char *text)
{
	return TIDING_BYTES + (text != NULL ? strlen(text) + 1 : 0);
}

static void drop_oldest_locked(struct memory *m) NEEDS(m->waits.lock)
{
	char **oldest = &m->texts[m->first];

	m->bytes -= cost(*oldest);
	free(*oldest);
	*oldest = NULL;
	m->first = (m->first + 1) % m->most;
	m->n--;
}

static void add_locked(struct memory *m, char *text) NEEDS(m->waits.lock)
{
	while (m->n > 0 && (m->n == m->most || m->bytes + cost(text) > m->bytes_most))
		drop_oldest_locked(m);
	m->texts[(m->first + m->n++) % m->most] = text;
	m->bytes += cost(text);
	m->last++;
}

void tidings_memory_tell(const struct tidings *t, const struct tiding *tiding)
{
	struct memory *m = t->self;
	struct tiding full = *tiding;
	json_t *object;
	size_t bytes;
	char *text;

	if (m == NULL || !event_kinds_have(m->wanted, tiding->kind))
		return;
	json_watch();
	full.comet = m->comet;
	full.time_ms = clock_wall_ms();
	object = tiding_json(&full);
	text = object != NULL ? json_write(object, 0, &bytes) : NULL;
	json_decref(object);
	lock_take(&m->waits.lock);
	add_locked(m, text);
	lock_drop(&m->waits.lock);
	waits_memory_tell(&m->waits);
}

/* ---- reading ---- */

/* Somebody who has nothing misses nothing. */
static bool has_news_locked(const void *self, uint64_t after)
{
	const struct memory *m = self;

	return after > 0 ? m->last > after : m->n > 0;
}

/* What a reader gets, still as texts; NULL: as there. */
struct page {
	char **texts;
	size_t n;
	uint64_t first; /* id of the first one */
};

static int copy_locked(struct memory *m, uint64_t after, struct page *page, size_t max) NEEDS(m->waits.lock)
{
	uint64_t oldest = m->last - m->n + 1;

	page->first = after + 1 > oldest ? after + 1 : oldest;
	page->texts = calloc(max + 1, sizeof(char *));
	if (page->texts == NULL)
		return -ENOMEM;
	for (uint64_t id = page->first; page->n < max && id <= m->last; id++) {
		const char *text = m->texts[(m->first + (id - oldest)) % m->most];

		if (text != NULL && (page->texts[page->n] = strdup(text)) == NULL)
			return -ENOMEM;
		page->n++;
	}
	return 0;
}

static json_t *describe(const char *text, uint64_t id)
{
	return text != NULL ? tiding_with_id(json_read(text, strlen(text), 0), id) : tiding_lost(id, 1);
}

/* One more of the list; NULL: no memory. */
static int append(json_t *list, json_t *object)
{
	return object != NULL && json_array_append_new(list, object) == 0 ? 0 : -ENOMEM;
}

/* `after`: what the reader has, 0: nothing. */
static int list_page(const struct memory *m, uint64_t after, const struct page *page, json_t *list)
{
	int rc = 0;

	if (after > 0 && page->first > after + 1)
		rc = append(list,
			    tiding_lost(page->first - 1, after >= m->begin ? (int64_t)(page->first - 1 - after) : -1));
	for (size_t i = 0; rc == 0 && i < page->n; i++)
		rc = append(list, describe(page->texts[i], page->first + i));
	return rc;
}

static void page_fini(struct page *page)
{
	for (size_t i = 0; i < page->n; i++)
		free(page->texts[i]);
	free(page->texts);
}

static int read_page(struct memory *m, uint64_t *after, const struct upstream_query *query, struct page *page)
{
	int rc;

	park_wait_begin();
	lock_take(&m->waits.lock);
	/* From a life with a later clock: all is new to that reader, and he has missed something. */
	if (*after > m->last)
		*after = 1;
	if ((rc = waits_memory_wait_locked(&m->waits, *after, query)) == 0)
		rc = copy_locked(m, *after, page, query->max);
	lock_drop(&m->waits.lock);
	park_wait_end();
	return rc;
}

static int read_after(void *self, const struct upstream_query *query, json_t **list)
{
	struct memory *m = memory_of(self);
	struct page page = {0};
	uint64_t after;
	int rc;

	*list = NULL;
	if (!tiding_read_id(query->after, &after))
		return -EINVAL;
	rc = read_page(m, &after, query, &page);
	if (rc == 0 && (*list = json_array()) == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = list_page(m, after, &page, *list);
	page_fini(&page);
	if (rc < 0) {
		json_decref(*list);
		*list = NULL;
	}
	return rc;
}

static void stop(void *self)
{
	waits_memory_stop(&memory_of(self)->waits);
}

/* ---- start and end ---- */

int tidings_memory_new(const struct config *cfg, const char *comet, struct tidings *out)
{
	struct memory *m;

	*out = (struct tidings){0};
	if (cfg->events_kinds[0] == '\0')
		return 0;
	if ((m = calloc(1, sizeof(*m))) == NULL)
		return -ENOMEM;
	m->magic = TIDINGS_MAGIC;
	(void)event_kinds_parse(cfg->events_kinds, &m->wanted); /* the settings have been checked */
	m->most = (size_t)cfg->events_length;
	m->bytes_most = (size_t)cfg->events_bytes;
	/* Above all ids that were given before a restart, as long as no more than a million came in a second. */
	m->begin = m->last = (uint64_t)clock_wall_ms() * 1000;
	waits_memory_init(&m->waits, LOCK_POOL, has_news_locked, m);
	*out = (struct tidings){.read = read_after, .stop = stop, .self = m};
	m->texts = calloc(m->most, sizeof(char *));
	if (m->texts != NULL && (m->comet = strdup(comet)) != NULL)
		return 0;
	tidings_memory_free(out);
	return -ENOMEM;
}

void tidings_memory_free(struct tidings *t)
{
	struct memory *m = t->self;

	*t = (struct tidings){0};
	if (m == NULL)
		return;
	lock_take(&m->waits.lock);
	while (m->n > 0)
		drop_oldest_locked(m);
	lock_drop(&m->waits.lock);
	waits_memory_fini(&m->waits);
	free(m->texts);
	free(m->comet);
	m->magic = 0;
	free(m);
}
