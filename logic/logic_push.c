/* logic_push: see logic.h; the way of a push, or of a kick, from a back end to the comets that it concerns.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "logic/logic_push.h"

/* Keys of one push over a cluster: Redis does nothing else while it looks whether they are still there. */
#define KEYS_AT_ONCE 10000

/* ---- push ---- */

static int by_server_and_key(const void *a, const void *b)
{
	const struct registry_entry *x = a, *y = b;
	int order = strcmp(x->server, y->server);

	return order != 0 ? order : strcmp(x->key, y->key);
}

/* Each server's keys together, and none twice: a key that a caller names twice still gets the push once. */
static void put_in_order(struct registry_found *found)
{
	size_t n = 0;

	if (found->n < 2)
		return;
	qsort(found->entries, found->n, sizeof(*found->entries), by_server_and_key);
	for (size_t i = 0; i < found->n; i++) {
		struct registry_entry *entry = &found->entries[i];

		if (n > 0 && by_server_and_key(&found->entries[n - 1], entry) == 0) {
			free(entry->key);
			free(entry->server);
		} else {
			found->entries[n++] = *entry;
		}
	}
	found->n = n;
}

void logic_count_offline(const struct registry_found *found, size_t n_names, struct fate *fate)
{
	size_t reached = 0;

	for (size_t i = 0; i < found->n; i++) {
		const size_t of = found->entries[i].of;

		reached += i == 0 || of != found->entries[i - 1].of;
		if (fate->is_there != NULL && of < n_names)
			fate->is_there[of] = true;
	}
	fate->offline = n_names - reached;
}

/* Some of the push's keys moved after they were found: look again. A push to a key that moves all the time fails, and its caller is
 * told. */
static int push_moved(struct logic *l, struct wire_push *push, unsigned looks)
{
	struct registry_found found;
	int rc;

	if (looks == 0)
		return -EAGAIN;
	if ((rc = registry_find_keys(&l->registry, push->keys, push->n_keys, &found)) < 0)
		return rc;
	rc = logic_push_found(l, &found, push, looks - 1, NULL);
	registry_found_fini(&found);
	return rc;
}

int logic_push_found(struct logic *l, struct registry_found *found, struct wire_push *push, unsigned looks,
		     struct fate *fate)
{
	const size_t most =
		l->bus.look != NULL ? found->n : KEYS_AT_ONCE; /* one that looks counts all of them at once */
	const char **keys = calloc(found->n + 1, sizeof(*keys));
	uint64_t *sessions = calloc(found->n + 1, sizeof(*sessions));
	int rc = keys != NULL && sessions != NULL ? 0 : -ENOMEM;

	put_in_order(found);
	if (fate != NULL) {
		fate->knows_online = true;
		fate->knows_filters = l->bus.look != NULL;
		fate->online = found->n;
	}
	for (size_t i = 0; rc == 0 && i < found->n;) {
		const char *server = found->entries[i].server;
		size_t n = 0;

		for (; i < found->n && n < most && strcmp(found->entries[i].server, server) == 0; i++) {
			keys[n] = found->entries[i].key;
			sessions[n++] = found->entries[i].session_id;
		}
		push->keys = keys;
		push->sessions = push->target == WIRE_KICK ? sessions : NULL;
		push->n_keys = n;
		if (fate != NULL && l->bus.look != NULL)
			l->bus.look(l->bus.self, push, fate);
		if ((rc = bus_push(&l->bus, server, push)) == -ESTALE)
			rc = push_moved(l, push, looks);
	}
	free(keys);
	free(sessions);
	return rc;
}

int logic_make_message(const struct logic_message *m, struct message **out)
{
	return m->body_bytes > UINT32_MAX ? -EMSGSIZE : message_new(m->op, m->body, (uint32_t)m->body_bytes, out);
}

/* Counted also for a push that some of its targets get: its caller knows only that it failed. */
static int count_failed(int rc)
{
	if (rc < 0 && rc != -EINPROGRESS)
		count(COUNT_PUSHES_FAILED);
	return rc;
}

static int push_message_to(struct logic *l, struct registry_found *found, size_t n_names, const struct logic_message *m)
{
	struct wire_push push = {.target = WIRE_KEYS};
	int rc = logic_make_message(m, &push.message);

	if (rc == 0 && found->n == 0)
		count(COUNT_PUSHES_TO_NOBODY);
	if (rc == 0) {
		if (m->fate != NULL)
			logic_count_offline(found, n_names, m->fate);
		rc = logic_push_found(l, found, &push, LOGIC_PUSH_LOOKS, m->fate);
		message_unref(&push.message);
	}
	registry_found_fini(found);
	return rc;
}

/* Where the bus can find them itself. Without a name it would take the push for one to all comets. */
static bool is_one_step(const struct logic *l, size_t n)
{
	return l->bus.push_to != NULL && n > 0 && n <= BUS_NAMES_MAX;
}

/* ---- a push that waits for the bus, now or at its end ---- */

/* Forget what it needed. */
static int land(struct logic_flight *f, int rc)
{
	if (rc == 0 && f->names.n > 0 && f->fate->online == 0)
		count(COUNT_PUSHES_TO_NOBODY);
	message_unref(&f->push.message);
	free(f->texts);
	return count_failed(rc);
}

/* Take off, and land where nobody wants to do that later. Of a push to a room *number is known then. */
static int fly(struct logic *l, const struct logic_message *m, struct logic_flight *f, uint64_t *number)
{
	const struct bus_names *names = f->names.n > 0 ? &f->names : NULL;
	int rc = logic_make_message(m, &f->push.message);

	if (rc < 0) {
		free(f->texts);
		return count_failed(rc);
	}
	f->fate = m->fate != NULL ? m->fate : &f->own_fate;
	if (m->flight != NULL && l->bus.begin != NULL) {
		rc = l->bus.begin(l->bus.self, names, &f->push, f->fate, &f->over_bus);
		if (rc == 0)
			return -EINPROGRESS;
	} else {
		rc = names != NULL ? bus_push_to(&l->bus, names, &f->push, f->fate) : bus_push(&l->bus, NULL, &f->push);
	}
	if (rc == 0)
		*number = f->push.message->number;
	return land(f, rc);
}

int logic_push_end(struct logic *l, struct logic_flight *f, uint64_t *number)
{
	int rc;

	if (f->tour != NULL)
		return count_failed(logic_kept_end(f->tour, number));
	rc = l->bus.end(l->bus.self, &f->over_bus);
	*number = rc == 0 ? f->push.message->number : 0;
	return land(f, rc);
}

/* The caller's, or this one, for a push that lands here. */
static struct logic_flight *flight_of(const struct logic_message *m, struct logic_flight *own)
{
	struct logic_flight *f = m->flight != NULL ? m->flight : own;

	*f = (struct logic_flight){0};
	return f;
}

/* Names that the bus finds itself. */
static int push_in_one_step(struct logic *l, const struct logic_message *m, struct logic_flight *f)
{
	uint64_t number;

	f->push.target = WIRE_KEYS;
	return fly(l, m, f, &number);
}

int logic_push_keys(struct logic *l, const struct logic_message *m, const char *const *keys, size_t n)
{
	struct logic_flight own, *f = flight_of(m, &own);
	struct registry_found found;
	int rc;

	if (is_one_step(l, n)) {
		f->names = (struct bus_names){.v = keys, .n = n};
		return push_in_one_step(l, m, f);
	}
	rc = registry_find_keys(&l->registry, keys, n, &found);
	return count_failed(rc < 0 ? rc : push_message_to(l, &found, n, m));
}

static int push_users_in_one_step(struct logic *l, const struct logic_message *m, const struct user *users, size_t n)
{
	struct logic_flight own, *f = flight_of(m, &own);
	const char **names;
	char(*texts)[USER_ESCAPED_BYTES];

	if ((f->texts = malloc(n * (sizeof(*names) + sizeof(*texts)))) == NULL)
		return count_failed(-ENOMEM);
	names = f->texts;
	texts = (void *)(names + n);
	for (size_t i = 0; i < n; i++)
		names[i] = user_escaped(&users[i], texts[i]);
	f->names = (struct bus_names){.are_users = true, .v = names, .n = n};
	return push_in_one_step(l, m, f);
}

int logic_push_users(struct logic *l, const struct logic_message *m, const struct user *users, size_t n)
{
	struct registry_found found;
	int rc;

	if (logic_keeps_users(l, m))
		return count_failed(logic_push_kept(l, m, users, n));
	if (is_one_step(l, n))
		return push_users_in_one_step(l, m, users, n);
	rc = registry_find_users(&l->registry, users, n, &found);
	return count_failed(rc < 0 ? rc : push_message_to(l, &found, n, m));
}

/* Over a cluster that is to go through the counts of all rooms: only for who has asked. */
static void look_at_room(struct logic *l, const struct wire_push *push, struct fate *fate)
{
	struct registry_rooms rooms;

	if (l->bus.look != NULL) {
		l->bus.look(l->bus.self, push, fate);
	} else if (fate->is_asked && registry_online(&l->registry, &rooms) == 0) {
		fate->knows_online = true;
		for (size_t i = 0; i < rooms.n; i++)
			if (strcmp(rooms.rooms[i].room, push->room) == 0)
				fate->online = (size_t)rooms.rooms[i].count;
		registry_rooms_fini(&rooms);
	}
	fate->offline = fate->knows_online && fate->online == 0;
}

static int push_room(struct logic *l, const struct logic_message *m, const char *room, uint64_t *number)
{
	struct logic_flight own, *f = flight_of(m, &own);

	f->push = (struct wire_push){.target = WIRE_ROOM, .room = room, .unkept = m->unkept, .name = m->name};
	if (logic_keeps(l, room) && !m->unkept && m->body_bytes > (size_t)l->cfg->stream_bytes)
		return count_failed(-EMSGSIZE);
	if (m->fate != NULL)
		look_at_room(l, &f->push, m->fate);
	return fly(l, m, f, number);
}

int logic_push_room(struct logic *l, const struct logic_message *m, const char *room, uint64_t *number)
{
	int rc;

	*number = 0;
	if (m->name == NULL || l->repeats == NULL)
		return push_room(l, m, room, number);
	rc = repeats_begin(l->repeats, room, m->name, number);
	if (rc == -EALREADY) {
		if (m->fate != NULL)
			look_at_room(l, &(struct wire_push){.target = WIRE_ROOM, .room = room}, m->fate);
		return 0;
	}
	if (rc < 0)
		return count_failed(rc);
	rc = push_room(l, m, room, number);
	repeats_end(l->repeats, room, m->name, rc == 0 ? number : NULL);
	return rc;
}

int logic_clear(struct logic *l, const char *name, uint64_t *at)
{
	const bool is_user = name[0] == KEPT_USER;
	struct wire_push clear = {.target = WIRE_CLEAR, .room = is_user ? NULL : name, .stream = is_user ? name : NULL};
	int rc;

	*at = 0;
	if ((rc = message_new_notice(&clear.message)) < 0)
		return rc;
	if ((rc = bus_push(&l->bus, NULL, &clear)) == 0)
		*at = clear.message->number;
	message_unref(&clear.message);
	return rc;
}

/* Each comet gets its share of the speed. */
int logic_push_all(struct logic *l, const struct logic_message *m, uint32_t speed)
{
	struct logic_flight own, *f = flight_of(m, &own);
	struct registry_servers servers;
	uint64_t number;
	int rc;

	f->push = (struct wire_push){.target = WIRE_ALL, .speed = speed};

	if (speed > 0) {
		if ((rc = registry_servers(&l->registry, &servers)) < 0)
			return count_failed(rc);
		if (servers.n > 1)
			f->push.speed = speed / (uint32_t)servers.n > 0 ? speed / (uint32_t)servers.n : 1;
		registry_servers_fini(&servers);
	}
	return fly(l, m, f, &number);
}

/* ---- kick ---- */

static int kick_found(struct logic *l, struct registry_found *found, size_t *n)
{
	struct wire_push kick = {.target = WIRE_KICK, .reason = WIRE_KICKED};
	int rc = logic_push_found(l, found, &kick, LOGIC_PUSH_LOOKS, NULL);

	*n = rc == 0 ? found->n : 0;
	registry_found_fini(found);
	return rc;
}

int logic_kick_keys(struct logic *l, const char *const *keys, size_t n_keys, size_t *n)
{
	struct registry_found found;
	int rc = registry_find_keys(&l->registry, keys, n_keys, &found);

	return rc < 0 ? rc : kick_found(l, &found, n);
}

int logic_kick_users(struct logic *l, const struct user *users, size_t n_users, size_t *n)
{
	struct registry_found found;
	int rc = registry_find_users(&l->registry, users, n_users, &found);

	return rc < 0 ? rc : kick_found(l, &found, n);
}

/* ---- rooms ---- */

static int lead_to(struct logic *l, enum wire_target target, const char *room, struct registry_found *found)
{
	struct wire_push push = {.target = target, .room = room};
	int rc;

	if (target == WIRE_JOIN && (rc = message_new_notice(&push.message)) < 0)
		return rc;
	rc = logic_push_found(l, found, &push, LOGIC_PUSH_LOOKS, NULL);
	if (push.message != NULL)
		message_unref(&push.message);
	return rc;
}

static int lead_found(struct logic *l, enum wire_target target, const char *const *rooms, size_t n_rooms,
		      struct registry_found *found, size_t *n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n_rooms; i++)
		rc = lead_to(l, target, rooms[i], found);
	*n = rc == 0 ? found->n : 0;
	registry_found_fini(found);
	return rc;
}

int logic_lead_keys(struct logic *l, enum wire_target target, const char *const *rooms, size_t n_rooms,
		    const char *const *keys, size_t n_keys, size_t *n)
{
	struct registry_found found;
	int rc = registry_find_keys(&l->registry, keys, n_keys, &found);

	return count_failed(rc < 0 ? rc : lead_found(l, target, rooms, n_rooms, &found, n));
}

int logic_lead_users(struct logic *l, enum wire_target target, const char *const *rooms, size_t n_rooms,
		     const struct user *users, size_t n_users, size_t *n)
{
	struct registry_found found;
	int rc = registry_find_users(&l->registry, users, n_users, &found);

	return count_failed(rc < 0 ? rc : lead_found(l, target, rooms, n_rooms, &found, n));
}
