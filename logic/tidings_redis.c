/* tidings_redis: see tidings.h. The stream comet:events, into which cluster/lua/tell.lua writes. SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/obj.h"
#include "common/redis/redis.h"
#include "common/redis/redis_name.h"
#include "logic/tidings.h"
#include "logic/waits_redis.h"

struct tidings_redis {
	unsigned magic;
#define TIDINGS_REDIS_MAGIC 0x71d1ed15
	/* set once */
	const struct config *cfg;
	/* any thread */
	struct waits_redis waits;
};

/* A reader's question, and what it gets. */
struct asked {
	const struct config *cfg;
	uint64_t after;
	char text[32]; /* the same as an id of Redis's */
	json_t *list;
	size_t n;
};

/* A user as one word: see user_escaped. In its place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at != '\0'; at++) {
		char hex[3] = {0};

		if (at[0] == '%' && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2])) {
			memcpy(hex, at + 1, 2);
			*to++ = (char)strtol(hex, NULL, 16);
			at += 2;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
}

static void read_field(const char *name, struct redisReply *value, struct tiding *t)
{
	if (strcmp(name, "kind") == 0)
		t->kind = value->str;
	else if (strcmp(name, "time") == 0)
		t->time_ms = strtoll(value->str, NULL, 10);
	else if (strcmp(name, "key") == 0)
		t->key = value->str;
	else if (strcmp(name, "room") == 0)
		t->room = value->str;
	else if (strcmp(name, "session") == 0)
		t->session = strtoull(value->str, NULL, 10);
	else if (strcmp(name, "n") == 0)
		t->number = strtoull(value->str, NULL, 10);
	else if (strcmp(name, "server") == 0)
		t->comet = value->str;
	else if (strcmp(name, "user") == 0) {
		unescape(value->str);
		t->user = value->str;
	}
}

/* [id, [field, value, ...]], whose strings are the reply's. */
static json_t *describe(const struct redisReply *entry, uint64_t *id)
{
	struct tiding t = {.kind = "", .key = "", .comet = ""};
	const struct redisReply *fields = entry->elements == 2 ? entry->element[1] : NULL;
	json_t *object;

	*id = fields != NULL && entry->element[0]->str != NULL ? strtoull(entry->element[0]->str, NULL, 10) : 0;
	for (size_t i = 0; fields != NULL && i + 1 < fields->elements; i += 2)
		if (fields->element[i]->str != NULL && fields->element[i + 1]->str != NULL)
			read_field(fields->element[i]->str, fields->element[i + 1], &t);
	object = tiding_json(&t);
	/* JSON has no words for it, such as a room that older releases let in: no reader would get past it. */
	if (object == NULL && !json_ran_out())
		return tiding_lost(*id, 1);
	return tiding_with_id(object, *id);
}

/* As tell.lua has them. */
struct numbers {
	unsigned long long newest, begin,
		generation; /* of the newest; the one before the first of this life; whose data it is of */
};

static int read_key(const struct asked *a, struct redis *r, const char *name, struct redisReply **reply)
{
	return redis_command(r, clock_now_ns() + a->cfg->redis_timeout * CLOCK_MS, reply, "GET %s",
			     redis_name_key(a->cfg, name, "").text);
}

static int read_numbers(const struct asked *a, struct redis *r, struct numbers *n)
{
	struct redisReply *reply;
	int rc = read_key(a, r, "events:n", &reply);

	*n = (struct numbers){0};
	if (rc < 0)
		return rc;
	if (reply->type == REDIS_REPLY_STRING)
		(void)sscanf(reply->str, "%llu %llu %llu", &n->newest, &n->begin, &n->generation);
	freeReplyObject(reply);
	return 0;
}

/* Of a life with a later clock, and this one has begun: all of it is new to that reader, and he has missed something. */
static int begin(void *arg, struct redis *r, const char **after)
{
	struct asked *a = arg;
	struct redisReply *reply;
	struct numbers n;
	int rc = 0;

	if (a->after == 0 || (rc = read_numbers(a, r, &n)) < 0 || n.newest == 0 || a->after <= n.newest)
		return rc;
	if ((rc = read_key(a, r, "generation", &reply)) < 0)
		return rc;
	if (reply->type == REDIS_REPLY_STRING && strtoull(reply->str, NULL, 10) == n.generation) {
		a->after = n.begin - 1;
		(void)snprintf(a->text, sizeof(a->text), "%llu-0", n.begin - 1);
		*after = a->text;
	}
	freeReplyObject(reply);
	return 0;
}

static int add(struct asked *a, json_t *object)
{
	return object != NULL && json_array_append_new(a->list, object) == 0 ? 0 : -ENOMEM;
}

/* The reader has read up to `after`, and the first that is there is this one. */
static int add_lost(struct asked *a, struct redis *r, uint64_t first)
{
	struct numbers n;
	int rc;

	if (a->after == 0 || first <= a->after + 1)
		return 0;
	if ((rc = read_numbers(a, r, &n)) < 0)
		return rc;
	return add(a, tiding_lost(first - 1, a->after >= n.begin ? (int64_t)(first - 1 - a->after) : -1));
}

static int take(void *arg, struct redis *r, const struct redisReply *entries)
{
	struct asked *a = arg;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < entries->elements; i++) {
		uint64_t id;
		json_t *object = describe(entries->element[i], &id);

		if (object != NULL && i == 0 && (rc = add_lost(a, r, id)) < 0) {
			json_decref(object);
			return rc;
		}
		rc = add(a, object);
		a->n++;
	}
	return rc;
}

static struct tidings_redis *tidings_of(void *self)
{
	struct tidings_redis *t = self;

	OBJ_CHECK(t, TIDINGS_REDIS_MAGIC);
	return t;
}

static int read_after(void *self, const struct upstream_query *query, json_t **list)
{
	struct tidings_redis *t = tidings_of(self);
	struct upstream_query asks = *query;
	struct asked a = {.cfg = t->cfg};
	int rc;

	*list = NULL;
	if (!tiding_read_id(query->after, &a.after))
		return -EINVAL;
	if ((a.list = json_array()) == NULL)
		return -ENOMEM;
	(void)snprintf(a.text, sizeof(a.text), "%llu-0", (unsigned long long)a.after);
	asks.after = a.text;
	rc = waits_redis_read(&t->waits, &asks, begin, take, &a, &a.n);
	if (rc == 0)
		*list = a.list;
	else
		json_decref(a.list);
	return rc;
}

static void stop(void *self)
{
	waits_redis_stop(&tidings_of(self)->waits);
}

int tidings_redis_new(const struct config *cfg, struct tidings *out)
{
	struct tidings_redis *t;

	*out = (struct tidings){0};
	if (cfg->events_kinds[0] == '\0')
		return 0;
	if ((t = calloc(1, sizeof(*t))) == NULL)
		return -ENOMEM;
	t->magic = TIDINGS_REDIS_MAGIC;
	t->cfg = cfg;
	waits_redis_init(&t->waits, cfg, "events", "events");
	*out = (struct tidings){.read = read_after, .stop = stop, .self = t};
	return 0;
}

void tidings_redis_free(struct tidings *tidings)
{
	struct tidings_redis *t = tidings->self;

	*tidings = (struct tidings){0};
	if (t == NULL)
		return;
	waits_redis_fini(&t->waits);
	t->magic = 0;
	free(t);
}
