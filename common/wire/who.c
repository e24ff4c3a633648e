/* who: see who.h. SPDX-License-Identifier: MIT */
#include "common/wire/who.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/wire/wire.h"
#include "common/wire/wire_json.h"

/* ---- questions ---- */

static json_t *list_of(const char *const *keys, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, json_string(keys[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static int set_trace(json_t *object, const struct who_query *q)
{
	return json_object_set_new(object, "trace", json_integer(q->trace)) < 0 ||
			       json_object_set_new(object, "trace_ms", json_integer(q->trace_ms)) < 0
		       ? -ENOMEM
		       : 0;
}

int who_question_encode(const struct who_question *question, char **text, size_t *bytes)
{
	const struct who_query *q = &question->query;
	json_t *object;
	int rc = 0;

	json_watch();
	object = json_pack("{s:s, s:s, s:I, s:s, s:I, s:I}", "id", question->id, "reply", question->reply, "expires",
			   (json_int_t)question->expires_ms, "after", q->after, "limit", (json_int_t)q->limit, "queued",
			   (json_int_t)q->queued);
	if (object == NULL || (q->trace != WHO_NO_TRACE && set_trace(object, q) < 0) ||
	    (q->room != NULL && json_object_set_new(object, "room", json_string(q->room)) < 0) ||
	    (q->keys != NULL && json_object_set_new(object, "keys", list_of(q->keys, q->n_keys)) < 0))
		rc = -ENOMEM;
	return wire_json_write(object, rc, text, bytes);
}

static int read_keys(const json_t *list, struct who_question *out)
{
	const size_t n = json_array_size(list);
	const char **keys;

	if (list == NULL)
		return 0;
	if (!json_is_array(list) || n > WHO_KEYS_MAX)
		return -EBADMSG;
	if ((keys = calloc(n + 1, sizeof(*keys))) == NULL)
		return -ENOMEM;
	out->owned[1] = keys;
	for (size_t i = 0; i < n; i++)
		if ((keys[i] = json_string_value(json_array_get(list, i))) == NULL)
			return -EBADMSG;
	out->query.keys = keys;
	out->query.n_keys = n;
	return 0;
}

int who_question_decode(const char *text, size_t bytes, struct who_question *out)
{
	json_t *object;
	int rc = wire_json_load(text, bytes, &object);
	int64_t limit, trace;

	*out = (struct who_question){.id = "", .reply = "", .query.after = "", .owned = {object}};
	if (rc < 0)
		return rc;
	if (!wire_json_string(object, "id", WIRE_TEXT_BYTES, &out->id) ||
	    !wire_json_string(object, "reply", WIRE_KEY_BYTES, &out->reply) || out->reply[0] == '\0' ||
	    !wire_json_integer(object, "expires", 0, INT64_MAX, &out->expires_ms) ||
	    !wire_json_string(object, "after", WIRE_KEY_BYTES, &out->query.after) ||
	    !wire_json_integer(object, "limit", 1, WHO_LIMIT_MAX, &limit) || limit == 0 ||
	    !wire_json_integer(object, "queued", 0, INT64_MAX, &out->query.queued) ||
	    !wire_json_integer(object, "trace", 0, WHO_TRACE_USERS, &trace) ||
	    !wire_json_integer(object, "trace_ms", 0, WHO_TRACE_MS_MAX, &out->query.trace_ms) ||
	    !wire_json_string(object, "room", WIRE_ROOM_BYTES, &out->query.room))
		return -EBADMSG;
	out->query.trace = (enum who_trace)trace;
	out->query.limit = (size_t)limit;
	if (out->query.room[0] == '\0')
		out->query.room = NULL;
	return read_keys(json_object_get(object, "keys"), out);
}

void who_question_fini(struct who_question *question)
{
	json_decref(question->owned[0]);
	free(question->owned[1]);
	*question = (struct who_question){0};
}

/* ---- answers ---- */

int who_answer_encode(struct who_answer *answer, char **text, size_t *bytes)
{
	json_t *list = answer->page.connections != NULL ? answer->page.connections : json_array();

	answer->page.connections = NULL;
	json_watch();
	return wire_json_write(json_pack("{s:s, s:s, s:b, s:b, s:o}", "id", answer->id, "server", answer->server,
					 "failed", answer->failed, "more", answer->page.more, "connections", list),
			       0, text, bytes);
}

int who_answer_decode(const char *text, size_t bytes, struct who_answer *out)
{
	json_t *object, *list;
	int rc = wire_json_load(text, bytes, &object);

	*out = (struct who_answer){.id = "", .server = "", .owned = object};
	if (rc < 0)
		return rc;
	if (!wire_json_string(object, "id", WIRE_TEXT_BYTES, &out->id) ||
	    !wire_json_string(object, "server", WIRE_KEY_BYTES, &out->server) ||
	    !json_is_array(list = json_object_get(object, "connections")) || json_array_size(list) > WHO_LIMIT_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!json_is_string(json_object_get(json_array_get(list, i), "key")))
			return -EBADMSG;
	out->failed = json_is_true(json_object_get(object, "failed"));
	out->page = (struct who_page){list, json_is_true(json_object_get(object, "more"))};
	return 0;
}

void who_answer_fini(struct who_answer *answer)
{
	json_decref(answer->owned);
	*answer = (struct who_answer){0};
}

/* ---- pages ---- */

int who_page_add(struct who_page *to, const struct who_page *from)
{
	if (to->connections == NULL && (to->connections = json_array()) == NULL)
		return -ENOMEM;
	to->more |= from->more;
	return json_array_extend(to->connections, from->connections) < 0 ? -ENOMEM : 0;
}

static int by_key(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;

	return strcmp(json_string_value(json_object_get(*x, "key")), json_string_value(json_object_get(*y, "key")));
}

int who_page_sort(struct who_page *page, size_t limit)
{
	const size_t n = json_array_size(page->connections), kept = n < limit ? n : limit;
	json_t **all = calloc(n + 1, sizeof(*all)), *sorted = json_array();
	int rc = all != NULL && sorted != NULL ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < n; i++)
		all[i] = json_array_get(page->connections, i);
	if (rc == 0)
		qsort(all, n, sizeof(json_t *), by_key);
	for (size_t i = 0; rc == 0 && i < kept; i++)
		rc = json_array_append(sorted, all[i]) < 0 ? -ENOMEM : 0;
	free(all);
	json_decref(page->connections);
	page->connections = sorted;
	page->more |= kept < n;
	return rc;
}
