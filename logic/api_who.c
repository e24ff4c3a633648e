/* api_who: who is online: /goim/online/users, /goim/connections, /goim/room/members; and whose steps are traced, /goim/trace. The
 * registry knows where keys and users are, the comets know the rest. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/obj.h"
#include "common/http/http_guard.h"
#include "logic/api_v2.h"

#define LIMIT 100 /* where none is given */

/* ---- pages ---- */

/* A page that is being made: what is asked for, of which comets, and what came. */
struct page {
	struct who_query query;
	const char **servers; /* the strings are others' */
	size_t n;
	bool *silent; /* of each */
	struct who_page found;
	const char *next; /* others come behind this key, even if it is not on the page; NULL: behind the last found */
};

/* limit, after and queued. False: the caller was told. */
static bool read_limits(struct api_call *call, struct who_query *query)
{
	static const struct api_number limit = {"limit", 1, WHO_LIMIT_MAX,
						"limit must be a whole number from 1 to 1000"};
	static const struct api_number queued = {"queued", 0, INT32_MAX, "queued must be a whole number, 0 or more"};
	const char *after = http_param(call->request, "after");
	long long value = LIMIT, messages = 0;

	if (!api_v2_read_number(call, &limit, &value) || !api_v2_read_number(call, &queued, &messages))
		return false;
	if (after != NULL && strlen(after) >= WIRE_KEY_BYTES) { /* comets could not read the question */
		api_v2_reply_bad(call, "after must be a key, of less than 256 bytes");
		return false;
	}
	*query = (struct who_query){.queued = messages, .after = after != NULL ? after : "", .limit = (size_t)value};
	return true;
}

/* Space for n comets. 0 or -ENOMEM. */
static int page_init(struct page *p, size_t n)
{
	p->servers = calloc(n + 1, sizeof(*p->servers));
	p->silent = calloc(n + 1, sizeof(*p->silent));
	return p->servers != NULL && p->silent != NULL ? 0 : -ENOMEM;
}

static void page_fini(struct page *p)
{
	free(p->servers);
	free(p->silent);
	json_decref(p->found.connections);
}

static void add_server(struct page *p, const char *server)
{
	for (size_t i = 0; i < p->n; i++) {
		BUG_UNLESS(p->servers[i] != NULL);
		if (strcmp(p->servers[i], server) == 0)
			return;
	}
	p->servers[p->n++] = server;
}

/* A key for some rooms learns of no others. */
static void leave_out_rooms(const struct api_call *call, json_t *connection)
{
	json_t *rooms = json_object_get(connection, "rooms");

	for (size_t i = json_array_size(rooms); i > 0; i--)
		if (!http_key_may_room(&call->request->key, json_string_value(json_array_get(rooms, i - 1))))
			(void)json_array_remove(rooms, i - 1);
	if (call->request->key.rooms[0] != '\0')
		(void)json_object_del(connection, "rooms_more");
}

/* Those who are in none of its rooms are not shown to it at all; whom it found by a room is in that one. */
static void leave_out_others(const struct api_call *call, const struct page *p)
{
	json_t *list = p->found.connections;

	if (call->request->key.rooms[0] == '\0' || p->query.room != NULL)
		return;
	for (size_t i = json_array_size(list); i > 0; i--)
		if (json_array_size(json_object_get(json_array_get(list, i - 1), "rooms")) == 0)
			(void)json_array_remove(list, i - 1);
}

/* A member in short. */
static void shorten(json_t *connection)
{
	static const char *const others[] = {"since_ms",   "address",    "transport", "rooms",
					     "rooms_more", "operations", "queued"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		(void)json_object_del(connection, others[i]);
}

static json_t *list_silent(const struct page *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->n; i++)
		if (p->silent[i])
			(void)json_array_append_new(list, json_string(p->servers[i]));
	return list;
}

/* The page, of members in short, where the next one begins, and the comets that did not answer, in an object that has more or not. */
static void reply_page(struct api_call *call, struct page *p, json_t *data, bool of_members)
{
	json_t *list = p->found.connections;
	json_t *last;

	for (size_t i = 0; i < json_array_size(list); i++)
		leave_out_rooms(call, json_array_get(list, i));
	leave_out_others(call, p);
	last = json_object_get(json_array_get(list, json_array_size(list) - 1), "key");
	for (size_t i = 0; of_members && i < json_array_size(list); i++)
		shorten(json_array_get(list, i));
	(void)json_object_set(data, of_members ? "members" : "connections", list);
	if (p->next != NULL)
		(void)json_object_set_new(data, "next", json_string(p->next));
	else if (p->found.more && last != NULL)
		(void)json_object_set(data, "next", last);
	(void)json_object_set_new(data, "silent", list_silent(p));
	api_v2_reply_data(call, data);
}

static void reply_fault(struct api_call *call, int rc)
{
	const char *words = rc == -EBUSY    ? "too many lists of connections are being made, try again"
			    : rc == -ENOSPC ? "a comet traces as many users and keys as it may"
					    : NULL;

	if (words == NULL)
		api_v2_reply_result(call, rc);
	else
		api_v2_reply_words(call, 200, -500, words);
}

/* ---- of some keys ---- */

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct registry_entry *)a)->key, ((const struct registry_entry *)b)->key);
}

/* The connections of the registrations that were found, which are put in order. */
static int list_found(struct api_call *call, struct registry_found *found, struct page *p)
{
	const char *keys[WHO_KEYS_MAX];
	const size_t limit = p->query.limit;
	size_t n = 0;
	bool more = false;
	int rc = page_init(p, found->n);

	if (rc < 0)
		return rc;
	if (found->n > 0)
		qsort(found->entries, found->n, sizeof(*found->entries), by_key);
	for (size_t i = 0; i < found->n && !more; i++) {
		const struct registry_entry *e = &found->entries[i];

		if (strcmp(e->key, p->query.after) <= 0 || (n > 0 && strcmp(e->key, keys[n - 1]) == 0))
			continue;
		if ((more = n == limit))
			break;
		keys[n++] = e->key;
		add_server(p, e->server);
	}
	p->query.keys = keys;
	p->query.n_keys = n;
	rc = people_list(&call->logic->people, p->servers, p->n, &p->query, &p->found, p->silent);
	p->query.keys = NULL;
	p->next = more && n > 0 ? keys[n - 1] : NULL;
	return rc;
}

static void reply_found(struct api_call *call, struct registry_found *found, struct page *p, json_t *data)
{
	int rc = data != NULL ? list_found(call, found, p) : -ENOMEM;

	if (rc == 0) {
		reply_page(call, p, data, false);
	} else {
		json_decref(data);
		reply_fault(call, rc);
	}
	page_fini(p);
}

static void reply_keys(struct api_call *call, const char *const *keys, size_t n)
{
	struct page p = {0};
	struct registry_found found;
	int rc;

	if (!read_limits(call, &p.query))
		return;
	if ((rc = registry_find_keys(&call->logic->registry, keys, n, &found)) < 0) {
		api_v2_reply_result(call, rc);
		return;
	}
	reply_found(call, &found, &p, json_object());
	registry_found_fini(&found);
}

/* ---- users ---- */

static json_t *count_users(const struct user *users, size_t n, const struct registry_found *found)
{
	json_int_t *counts = calloc(n + 1, sizeof(*counts));
	json_t *object = counts != NULL ? json_object() : NULL;
	char text[USER_BYTES];

	for (size_t i = 0; object != NULL && i < found->n; i++)
		counts[found->entries[i].of]++;
	for (size_t i = 0; object != NULL && i < n; i++) {
		const char *name = user_text(&users[i], text);

		/* One that is named twice may have been found once. */
		if (counts[i] > 0 || json_object_get(object, name) == NULL)
			(void)json_object_set_new(object, name, json_integer(counts[i]));
	}
	free(counts);
	return object;
}

static void reply_users(struct api_call *call, const struct user *users, size_t n)
{
	struct registry_found found;
	struct page p = {0};
	json_t *counts;
	int rc;

	if (!read_limits(call, &p.query))
		return;
	if ((rc = registry_find_users(&call->logic->registry, users, n, &found)) < 0) {
		api_v2_reply_result(call, rc);
		return;
	}
	counts = count_users(users, n, &found);
	if (api_v2_is_1(call->request, "detail"))
		reply_found(call, &found, &p, json_pack("{s:o}", "counts", counts));
	else
		api_v2_reply_data(call, counts);
	registry_found_fini(&found);
}

void api_online_users(struct api_call *call)
{
	const bool mids = http_param(call->request, "mids") != NULL;
	struct user *users = NULL;
	size_t n = 0;
	int rc;

	if (mids && http_param(call->request, "users") != NULL) {
		api_v2_reply_bad(call, "give mids or users, and not both");
		return;
	}
	rc = (mids ? api_read_mids : api_read_users)(call->request, &users, &n);
	if (api_v2_list_is_good(call, rc, n, "mids or users must be given; mids are whole numbers"))
		reply_users(call, users, n);
	free(users);
}

/* ---- rooms, and all ---- */

/* Of all comets, as p->query asks. */
static void reply_all(struct api_call *call, struct page *p, bool of_members)
{
	struct registry_servers servers;
	json_t *data;
	int rc;

	if ((rc = registry_servers(&call->logic->registry, &servers)) < 0) {
		api_v2_reply_result(call, rc);
		return;
	}
	if ((rc = page_init(p, servers.n)) == 0) {
		for (size_t i = 0; i < servers.n; i++)
			add_server(p, servers.servers[i].id);
		rc = people_list(&call->logic->people, p->servers, p->n, &p->query, &p->found, p->silent);
	}
	if (rc == 0 && (data = json_object()) != NULL)
		reply_page(call, p, data, of_members);
	else
		reply_fault(call, rc < 0 ? rc : -ENOMEM);
	page_fini(p);
	registry_servers_fini(&servers);
}

/* Those that are in the room, unless it is NULL. */
static void reply_room(struct api_call *call, const char *room, bool of_members)
{
	struct page p = {0};

	if (!read_limits(call, &p.query))
		return;
	p.query.room = room;
	reply_all(call, &p, of_members);
}

void api_connections(struct api_call *call)
{
	char room[WIRE_ROOM_BYTES];
	const char **keys;
	size_t n;
	int rc;

	if (http_param(call->request, "keys") != NULL) {
		rc = api_read_list(call->request, "keys", &keys, &n);
		if (api_v2_list_is_good(call, rc, n, "keys is empty"))
			reply_keys(call, keys, n);
		free(keys);
	} else if (http_param(call->request, "room") != NULL || http_param(call->request, "type") != NULL) {
		if (api_v2_read_room(call, room))
			reply_room(call, room, false);
	} else if (http_guard_may_room(call->request, "",
				       call->reply)) { /* only a key for all rooms may see everybody */
		reply_room(call, NULL, false);
	}
}

void api_room_members(struct api_call *call)
{
	char room[WIRE_ROOM_BYTES];

	if (api_v2_read_room(call, room))
		reply_room(call, room, true);
}

/* ---- traces ---- */

#define TRACED_MAX 100 /* names in a call */
#define TRACE_MS   (5 * 60 * INT64_C(1000))

/* Users as texts, each in USER_BYTES behind the list; the caller's to free. */
static int write_users(const struct user *users, size_t n, const char ***list)
{
	char(*texts)[USER_BYTES];

	if ((*list = malloc((n + 1) * (sizeof(**list) + USER_BYTES))) == NULL)
		return -ENOMEM;
	texts = (char(*)[USER_BYTES])(*list + n + 1);
	for (size_t i = 0; i < n; i++)
		(*list)[i] = user_text(&users[i], texts[i]);
	return 0;
}

/* No connection has a longer one, and the comets keep each for as long as it is traced. */
static int read_keys(struct api_call *call, const char ***list, size_t *n)
{
	int rc = api_read_list(call->request, "keys", list, n);

	for (size_t i = 0; rc == 0 && i < *n; i++)
		if (strlen((*list)[i]) >= WIRE_KEY_BYTES)
			rc = -EINVAL;
	return rc;
}

/* Of one of the three parameters. */
static int read_traced(struct api_call *call, const char ***list, size_t *n)
{
	const bool keys = http_param(call->request, "keys") != NULL, mids = http_param(call->request, "mids") != NULL;
	struct user *users;
	int rc;

	if (keys + mids + (http_param(call->request, "users") != NULL) != 1)
		return -EINVAL;
	if (keys)
		return read_keys(call, list, n);
	if ((rc = (mids ? api_read_mids : api_read_users)(call->request, &users, n)) < 0)
		return rc;
	rc = write_users(users, *n, list);
	free(users); /* their names are the request's, and stay */
	return rc;
}

static bool read_for(struct api_call *call, int64_t *ms)
{
	const char *text = http_param(call->request, "for");

	*ms = text != NULL ? 0 : TRACE_MS;
	if (text == NULL || strcmp(text, "0") == 0 || api_v2_read_span(text, ms))
		return true;
	api_v2_reply_bad(call, "for must say how long, such as 90s, 15m or 1h; 0 ends it");
	return false;
}

void api_trace(struct api_call *call)
{
	struct page p = {.query = {.after = "", .limit = LIMIT}};
	const bool by_key = http_param(call->request, "keys") != NULL;
	const char **names = NULL;
	size_t n = 0;
	int rc;

	if (!read_for(call, &p.query.trace_ms))
		return;
	p.query.trace = by_key ? WHO_TRACE_KEYS : WHO_TRACE_USERS;
	rc = read_traced(call, &names, &n);
	if (rc == 0 && n > TRACED_MAX)
		rc = -EINVAL;
	if (api_v2_list_is_good(
		    call, rc, n,
		    "keys, users or mids must be given, one of them, at most 100; mids are whole numbers")) {
		p.query.keys = names;
		p.query.n_keys = n;
		reply_all(call, &p, false);
	}
	free(names);
}
