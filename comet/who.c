/* who: see who.h. The connections with the smallest keys are gathered first, a reference to each; then they are described.
 * SPDX-License-Identifier: MIT */
#include "comet/who.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/wire/wire.h"

#define ROOMS_SHOWN 100

/* Of the names on a page, which clients choose: Redis cuts off a listener for whom more waits than it likes. */
#define ROOM_BYTES_SHOWN ((size_t)1 << 20)

/* ---- choosing ---- */

/* Those that may be on the page, in a list of twice its length: where that is full, the larger half goes. */
struct choice {
	const struct who_query *query;
	struct connections list;
	const char **users; /* of a trace of users: their names, in order */
	const char *last;   /* the largest key that the page can still have, one of the list's; NULL: any */
	bool more;
};

static int by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static int by_key(const void *a, const void *b)
{
	const struct connection *const *x = a, *const *y = b;

	return strcmp((*x)->seat.key, (*y)->seat.key);
}

/* Who is in a room twice is listed twice by it. */
static void drop_twins(struct connections *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		if (n > 0 && list->all[n - 1] == list->all[i])
			connection_unref(&list->all[i]);
		else
			list->all[n++] = list->all[i];
	list->n = n;
}

static void cut(struct choice *ch)
{
	struct connections *list = &ch->list;

	qsort(list->all, list->n, sizeof(struct connection *), by_key);
	drop_twins(list);
	for (; list->n > ch->query->limit; ch->more = true)
		connection_unref(&list->all[--list->n]);
	ch->last = list->n == ch->query->limit ? list->all[list->n - 1]->seat.key : NULL;
}

/* Is it one of the users that are traced? */
static bool is_named(const struct choice *ch, const struct connection *c)
{
	char text[USER_BYTES];
	const char *user = user_is_somebody(&c->seat.user) ? user_text(&c->seat.user, text) : "";

	return bsearch(&user, ch->users, ch->query->n_keys, sizeof(*ch->users), by_name) != NULL;
}

/* All connections are looked at for them. */
static int sort_users(struct choice *ch)
{
	const size_t n = ch->query->n_keys;

	if ((ch->users = calloc(n + 1, sizeof(*ch->users))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ch->users[i] = ch->query->keys[i];
	qsort(ch->users, n, sizeof(*ch->users), by_name);
	return 0;
}

static bool consider(void *arg, struct connection *c)
{
	struct choice *ch = arg;

	if (ch->users != NULL && !is_named(ch, c))
		return true;
	if (strcmp(c->seat.key, ch->query->after) <= 0 || connection_is_closing(c) ||
	    (ch->query->queued > 0 && channel_queued(&c->channel) < ch->query->queued))
		return true;
	if (ch->last != NULL && strcmp(c->seat.key, ch->last) > 0) {
		ch->more = true;
		return true;
	}
	connections_add(&ch->list, c);
	if (ch->list.n == ch->list.capacity)
		cut(ch);
	return true;
}

static int consider_room(struct server *s, struct choice *ch)
{
	int rc = 0;

	for (unsigned b = 0; rc == 0 && b < s->n_buckets; b++) {
		struct room *room = bucket_room(&s->buckets[b], ch->query->room);
		struct members members = {0};

		if (room == NULL)
			continue;
		rc = room_members(room, &members);
		for (size_t i = 0; i < members.n; i++)
			(void)consider(ch, members.all[i]->connection);
		members_drop(&members);
		room_unref(&room);
	}
	return rc;
}

static void consider_keys(struct server *s, struct choice *ch)
{
	for (size_t i = 0; i < ch->query->n_keys; i++) {
		struct connection *c = bucket_get(server_bucket(s, ch->query->keys[i]), ch->query->keys[i]);

		if (c == NULL)
			continue;
		(void)consider(ch, c);
		connection_unref(&c);
	}
}

static int choose(struct server *s, struct choice *ch)
{
	int rc = connections_reserve(&ch->list, 2 * ch->query->limit);

	if (rc == 0 && ch->query->trace == WHO_TRACE_USERS)
		rc = sort_users(ch);
	if (rc < 0)
		return rc;
	if (ch->query->keys != NULL && ch->query->trace != WHO_TRACE_USERS)
		consider_keys(s, ch);
	else if (ch->query->room != NULL)
		rc = consider_room(s, ch);
	else
		rc = server_each(s, consider, ch);
	cut(ch);
	return rc;
}

/* ---- describing ---- */

/* As far as there is space on the page. */
static void set_rooms(json_t *object, struct server *s, const struct connection *c, size_t *space)
{
	struct room *rooms[ROOMS_SHOWN];
	const size_t n = bucket_rooms_of(server_bucket(s, c->seat.key), c, rooms, ROOMS_SHOWN);
	const size_t shown = n < ROOMS_SHOWN ? n : ROOMS_SHOWN;
	size_t more = n - shown;
	json_t *list = json_array();

	for (size_t i = 0; i < shown; i++) {
		const char *name = rooms[i]->tally->id;
		const size_t bytes = strlen(name);
		size_t twin = 0;

		while (rooms[twin] != rooms[i])
			twin++;
		if (twin != i)
			continue;
		if (bytes > *space) {
			more++;
			continue;
		}
		*space -= bytes;
		(void)json_array_append_new(list, json_string(name)); /* names that are not UTF-8 are left out */
	}
	(void)json_object_set_new(object, "rooms", list);
	if (more > 0)
		(void)json_object_set_new(object, "rooms_more", json_integer((json_int_t)more));
	for (size_t i = 0; i < shown; i++)
		room_unref(&rooms[i]);
}

static void set_mailbox(json_t *object, struct channel *ch)
{
	int32_t ops[WIRE_ACCEPTS_MAX];
	json_t *list;
	uint32_t n, queued;
	bool all;

	lock_take(&ch->lock);
	all = ch->accepts.all;
	n = ch->accepts.n < WIRE_ACCEPTS_MAX ? ch->accepts.n : WIRE_ACCEPTS_MAX;
	if (n > 0)
		memcpy(ops, ch->accepts.ops, n * sizeof(ops[0]));
	queued = ch->queue.count;
	lock_drop(&ch->lock);
	(void)json_object_set_new(object, "queued", json_integer(queued));
	if (all)
		return;
	list = json_array();
	for (uint32_t i = 0; i < n; i++)
		(void)json_array_append_new(list, json_integer(ops[i]));
	(void)json_object_set_new(object, "operations", list);
}

/* NULL: its key is not UTF-8, or no memory. */
static json_t *describe(struct server *s, const char *name, struct connection *c, size_t *space)
{
	const struct user *user = &c->seat.user;
	char peer[TRANSPORT_PEER_BYTES], text[USER_BYTES];
	json_t *object = json_pack("{s:s,s:s,s:I,s:s,s:s}", "key", c->seat.key, "comet", name, "since_ms",
				   (json_int_t)(clock_wall_ms() - (clock_now_ns() - c->born_ns) / CLOCK_MS), "address",
				   connection_peer(c, peer), "transport", c->transport->ops->name);

	if (object == NULL)
		return NULL;
	if (user_is_somebody(user))
		(void)json_object_set_new(object, "user", json_string(user_text(user, text)));
	if (user_is_somebody(user) && user->name == NULL)
		(void)json_object_set_new(object, "mid", json_integer(user->mid));
	set_rooms(object, s, c, space);
	set_mailbox(object, &c->channel);
	return object;
}

static int trace_them(struct server *s, const struct who_query *query)
{
	const bool are_users = query->trace == WHO_TRACE_USERS;
	int rc = 0;

	for (size_t i = 0; i < query->n_keys && rc == 0; i++)
		rc = whitelist_ask(&s->whitelist, are_users, query->keys[i], query->trace_ms);
	if (query->n_keys > 0)
		LOG(LOG_INFO, log_what(EVENT_TRACE_CHANGED), log_str(are_users ? "user" : "key", query->keys[0]),
		    log_i64("names", (int64_t)query->n_keys), log_i64("for_s", query->trace_ms / 1000));
	server_retrace(s);
	return rc;
}

int who_list(struct server *s, const char *name, const struct who_query *query, struct who_page *page)
{
	struct choice ch = {.query = query};
	size_t space = ROOM_BYTES_SHOWN;
	int rc = query->trace != WHO_NO_TRACE ? trace_them(s, query) : 0;

	if (rc < 0) {
		*page = (struct who_page){0};
		return rc;
	}
	rc = choose(s, &ch);
	json_watch();
	*page = (struct who_page){.connections = json_array(), .more = ch.more};
	for (size_t i = 0; rc == 0 && i < ch.list.n; i++) {
		json_t *described = describe(s, name, ch.list.all[i], &space);

		if (described != NULL)
			(void)json_array_append_new(page->connections, described);
	}
	connections_drop(&ch.list);
	free(ch.users);
	if (rc == 0 && json_ran_out())
		rc = -ENOMEM;
	if (rc < 0) {
		json_decref(page->connections);
		*page = (struct who_page){0};
	}
	return rc;
}
