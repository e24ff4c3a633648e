/* grants: see grants.h. SPDX-License-Identifier: MIT */
#include "common/wire/grants.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/pattern.h"

/* A pass with more left has no end: some 292 years are all that a clock of nanoseconds has. */
#define LEFT_MAX_MS (INT64_C(1) << 42)

/* The patterns one behind another, each with its zero byte: those of rooms, then those of operations. */
struct grants {
	struct pass *passes; /* the last one first */
	size_t n_passes;
	size_t rooms_bytes, bytes;
	char text[];
};

struct pass {
	struct pass *next;
	int64_t until_ns;
	char room[];
};

/* ---- reading ---- */

/* As text; NULL: it is none. `number` is space for one. */
static const char *pattern_of(const json_t *value, bool is_op, char number[24])
{
	const char *text = json_string_value(value);

	if (is_op && json_is_integer(value)) {
		(void)snprintf(number, 24, "%lld", (long long)json_integer_value(value));
		return number;
	}
	if (text == NULL || text[0] == '\0' || strlen(text) != json_string_length(value) ||
	    strlen(text) >= GRANTS_NAME_BYTES)
		return NULL;
	for (const char *at = text; *at != '\0'; at++)
		if (iscntrl((unsigned char)*at))
			return NULL;
	return text;
}

/* Count the bytes of the list's patterns; with space for them, write them. -EBADMSG: it is no list of patterns. */
static int put_list(const json_t *list, bool is_op, char *out, size_t *bytes)
{
	const json_t *value;
	char number[24];
	size_t i;

	*bytes = 0;
	if (list == NULL || json_is_null(list))
		return 0;
	if (!json_is_array(list) || json_array_size(list) > GRANTS_MAX)
		return -EBADMSG;
	json_array_foreach(list, i, value)
	{
		const char *pattern = pattern_of(value, is_op, number);

		if (pattern == NULL)
			return -EBADMSG;
		if (out != NULL)
			memcpy(out + *bytes, pattern, strlen(pattern) + 1);
		*bytes += strlen(pattern) + 1;
	}
	return 0;
}

static bool is_there(const json_t *list)
{
	return list != NULL && !json_is_null(list);
}

int grants_read(const json_t *rooms, const json_t *ops, struct grants **out, bool *bad_ops)
{
	size_t rooms_bytes, ops_bytes;
	struct grants *g;

	*out = NULL;
	*bad_ops = false;
	if (put_list(rooms, false, NULL, &rooms_bytes) < 0)
		return -EBADMSG;
	*bad_ops = true;
	if (put_list(ops, true, NULL, &ops_bytes) < 0)
		return -EBADMSG;
	if (!is_there(rooms) && !is_there(ops))
		return 0;
	if ((g = malloc(sizeof(*g) + rooms_bytes + ops_bytes)) == NULL)
		return -ENOMEM;
	g->passes = NULL;
	g->n_passes = 0;
	g->rooms_bytes = rooms_bytes;
	g->bytes = rooms_bytes + ops_bytes;
	(void)put_list(rooms, false, g->text, &rooms_bytes);
	(void)put_list(ops, true, g->text + rooms_bytes, &ops_bytes);
	*out = g;
	return 0;
}

static struct pass *find_pass(const struct grants *g, const char *room)
{
	struct pass *pass = g != NULL ? g->passes : NULL;

	while (pass != NULL && strcmp(pass->room, room) != 0)
		pass = pass->next;
	return pass;
}

int grants_add_pass(struct grants **g, const char *room, int64_t left_ms)
{
	const int64_t until_ns = left_ms < LEFT_MAX_MS ? clock_now_ns() + left_ms * CLOCK_MS : GRANTS_FOR_EVER;
	struct pass *pass = find_pass(*g, room);

	if (pass != NULL) {
		pass->until_ns = pass->until_ns > until_ns ? pass->until_ns : until_ns;
		return 0;
	}
	if (*g == NULL && (*g = calloc(1, sizeof(**g))) == NULL)
		return -ENOMEM;
	if ((*g)->n_passes == GRANTS_MAX)
		return -ENOBUFS;
	if ((pass = malloc(sizeof(*pass) + strlen(room) + 1)) == NULL)
		return -ENOMEM;
	*pass = (struct pass){.next = (*g)->passes, .until_ns = until_ns};
	memcpy(pass->room, room, strlen(room) + 1);
	(*g)->passes = pass;
	(*g)->n_passes++;
	return 0;
}

static int read_passes(json_t *passes, struct grants **g)
{
	const char *room;
	json_t *left_ms;
	int rc = json_is_object(passes) || passes == NULL ? 0 : -EBADMSG;

	json_object_foreach(passes, room, left_ms)
	{
		const int64_t ms = json_integer_value(left_ms);

		if (rc == 0 && (!json_is_integer(left_ms) || ms < 0 || strlen(room) >= GRANTS_NAME_BYTES))
			rc = -EBADMSG;
		if (rc == 0)
			rc = grants_add_pass(g, room, ms);
	}
	return rc == -ENOBUFS ? -EBADMSG : rc;
}

int grants_read_object(const json_t *object, struct grants **out)
{
	bool bad_ops;
	int rc;

	*out = NULL;
	if (object != NULL && !json_is_object(object))
		return -EBADMSG;
	rc = grants_read(json_object_get(object, "rooms"), json_object_get(object, "ops"), out, &bad_ops);
	if (rc == 0 && (rc = read_passes(json_object_get(object, "passes"), out)) < 0)
		grants_free(out);
	return rc;
}

/* ---- writing ---- */

static int add_patterns(json_t *object, const char *name, const char *at, const char *end)
{
	json_t *list = json_array();
	int rc = list != NULL ? 0 : -ENOMEM;

	for (; rc == 0 && at < end; at += strlen(at) + 1)
		if (json_array_append_new(list, json_string(at)) < 0)
			rc = -ENOMEM;
	if (rc == 0 && json_object_set(object, name, list) < 0)
		rc = -ENOMEM;
	json_decref(list);
	return rc;
}

static int add_passes(json_t *object, const struct grants *g)
{
	const int64_t now = clock_now_ns();
	json_t *passes = g->n_passes > 0 ? json_object() : NULL;

	if (g->n_passes > 0 && (passes == NULL || json_object_set_new(object, "passes", passes) < 0))
		return -ENOMEM;
	for (const struct pass *p = g->passes; p != NULL; p = p->next)
		if (p->until_ns > now &&
		    json_object_set_new(passes, p->room, json_integer((p->until_ns - now) / CLOCK_MS)) < 0)
			return -ENOMEM;
	return 0;
}

json_t *grants_write(const struct grants *g)
{
	json_t *object = json_object();

	if (object != NULL && (add_patterns(object, "rooms", g->text, g->text + g->rooms_bytes) < 0 ||
			       add_patterns(object, "ops", g->text + g->rooms_bytes, g->text + g->bytes) < 0 ||
			       add_passes(object, g) < 0)) {
		json_decref(object);
		object = NULL;
	}
	return object;
}

void grants_free(struct grants **g)
{
	struct pass *pass;

	while (*g != NULL && (pass = (*g)->passes) != NULL) {
		(*g)->passes = pass->next;
		free(pass);
	}
	free(*g);
	*g = NULL;
}

/* ---- asking ---- */

static bool any_matches(const char *at, const char *end, const char *name)
{
	for (; at < end; at += strlen(at) + 1)
		if (pattern_matches(at, name))
			return true;
	return false;
}

int64_t grants_room_until(const struct grants *g, const char *room)
{
	const struct pass *pass;

	if (g != NULL && any_matches(g->text, g->text + g->rooms_bytes, room))
		return GRANTS_FOR_EVER;
	pass = find_pass(g, room);
	return pass != NULL ? pass->until_ns : 0;
}

bool grants_room(const struct grants *g, const char *room)
{
	return grants_room_until(g, room) == GRANTS_FOR_EVER;
}

bool grants_op(const struct grants *g, int32_t op)
{
	char name[12];

	(void)snprintf(name, sizeof(name), "%d", (int)op);
	return g != NULL && any_matches(g->text + g->rooms_bytes, g->text + g->bytes, name);
}

bool grants_every_op(const struct grants *g)
{
	const char *end = g != NULL ? g->text + g->bytes : NULL;

	for (const char *at = g != NULL ? g->text + g->rooms_bytes : NULL; at < end; at += strlen(at) + 1)
		if (strcmp(at, "*") == 0)
			return true;
	return false;
}

size_t grants_named_ops(const struct grants *g, int32_t ops[GRANTS_MAX])
{
	const char *end = g != NULL ? g->text + g->bytes : NULL;
	size_t n = 0;

	for (const char *at = g != NULL ? g->text + g->rooms_bytes : NULL; at < end; at += strlen(at) + 1) {
		char name[12];
		long long op = strtoll(at, NULL, 10);

		/* Only one that is written as operations are compared names any. */
		if (op < INT32_MIN || op > INT32_MAX)
			continue;
		(void)snprintf(name, sizeof(name), "%d", (int)op);
		if (strcmp(name, at) == 0)
			ops[n++] = (int32_t)op;
	}
	return n;
}
