/* registry_memory: the registry in the memory of a program that runs alone. One lock: the work under it is a few hash
 * look-ups. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/strmap.h"
#include "logic/online_memory.h"
#include "logic/registry.h"
#include "logic/tidings.h"

struct person;

struct session {
	struct registry_entry entry;
	struct person *person;       /* NULL: nobody */
	struct session *next, *prev; /* of the same person */
};

/* A user who is there. */
struct person {
	uint64_t numbers; /* the last one given out by next_number */
	struct session *sessions;
	char user[]; /* its string */
};

struct memory {
	unsigned magic;
#define MEMORY_MAGIC 0x3e3047e9
	/* set once */
	const struct tidings *tidings; /* NULL: nobody is told */
	/* any thread */
	struct online_memory online;
	/* under lock */
	struct lock lock;
	struct strmap sessions; /* by key */
	struct strmap persons;  /* by the user's string */
	uint64_t last_id;
	uint64_t numbers; /* the most that a forgotten user had: the next new user goes on from there */
};

static struct memory *memory_of(void *self)
{
	struct memory *m = self;

	OBJ_CHECK(m, MEMORY_MAGIC);
	return m;
}

/* ---- sessions ---- */

static void session_free(void *value)
{
	struct session *session = value;

	free(session->entry.key);
	free(session->entry.server);
	free(session);
}

static struct session *session_new(const char *server, const char *key)
{
	struct session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		return NULL;
	session->entry.key = strdup(key);
	session->entry.server = strdup(server);
	if (session->entry.key == NULL || session->entry.server == NULL) {
		session_free(session);
		return NULL;
	}
	return session;
}

static struct person *find_person_locked(struct memory *m, const struct user *user, bool make) NEEDS(m->lock)
{
	struct person *person;
	char space[USER_BYTES];
	const char *text = user_text(user, space);

	if ((person = strmap_get(&m->persons, text)) != NULL || !make)
		return person;
	if ((person = calloc(1, sizeof(*person) + strlen(text) + 1)) == NULL)
		return NULL;
	memcpy(person->user, text, strlen(text) + 1);
	person->numbers = m->numbers;
	if (strmap_put(&m->persons, text, person, NULL) < 0) {
		free(person);
		return NULL;
	}
	return person;
}

static void tell_locked(const struct memory *m, const struct session *session, const char *kind) NEEDS(m->lock)
{
	if (m->tidings == NULL)
		return;
	tidings_memory_tell(m->tidings, &(struct tiding){.kind = kind,
							 .key = session->entry.key,
							 .user = session->person != NULL ? session->person->user : NULL,
							 .session = session->entry.session_id});
}

static void link_locked(struct person *person, struct session *session)
{
	session->person = person;
	session->next = person->sessions;
	if (session->next != NULL)
		session->next->prev = session;
	person->sessions = session;
}

static void forget_if_gone_locked(struct memory *m, struct person *person) NEEDS(m->lock)
{
	if (person == NULL || person->sessions != NULL)
		return;
	if (person->numbers > m->numbers)
		m->numbers = person->numbers;
	(void)strmap_del(&m->persons, person->user);
	free(person);
}

/* Take a session from its person, who is forgotten with the last one. */
static void unlink_locked(struct memory *m, struct session *session) NEEDS(m->lock)
{
	struct person *person = session->person;

	if (person == NULL)
		return;
	if (session->prev != NULL)
		session->prev->next = session->next;
	else
		person->sessions = session->next;
	if (session->next != NULL)
		session->next->prev = session->prev;
	forget_if_gone_locked(m, person);
}

/* *to_put becomes the session that is to be freed: the replaced one or NULL, and after an error the new one. */
static int put_locked(struct memory *m, struct session **to_put, struct seat *seat, struct registry_found *old)
	NEEDS(m->lock)
{
	struct session *session = *to_put, *there = strmap_get(&m->sessions, seat->key);
	struct person *person = user_is_somebody(&seat->user) ? find_person_locked(m, &seat->user, true) : NULL;
	int rc;

	if (user_is_somebody(&seat->user) && person == NULL)
		return -ENOMEM;
	if ((there != NULL && old != NULL && (rc = registry_found_add(old, &there->entry)) < 0) ||
	    (rc = strmap_put(&m->sessions, session->entry.key, session, NULL)) < 0) {
		forget_if_gone_locked(m, person);
		return rc;
	}
	session->entry.session_id = seat->session_id = ++m->last_id;
	/* First in, then out: the person may be the same, and must not be forgotten in between. */
	if (person != NULL)
		link_locked(person, session);
	if (there != NULL) {
		tell_locked(m, there, "offline");
		unlink_locked(m, there);
	}
	tell_locked(m, session, "online");
	*to_put = there;
	return 0;
}

/* expires_ms does not matter in a program that runs alone: only the caller itself can ask again. */
static int put(void *self, const char *server, struct seat *seat, int64_t expires_ms, struct registry_found *old)
{
	struct memory *m = memory_of(self);
	struct session *session = session_new(server, seat->key);
	int rc;

	(void)expires_ms;
	if (old != NULL)
		*old = (struct registry_found){0};
	if (session == NULL)
		return -ENOMEM;
	lock_take(&m->lock);
	rc = put_locked(m, &session, seat, old);
	lock_drop(&m->lock);
	if (session != NULL)
		session_free(session);
	if (rc < 0 && old != NULL)
		registry_found_fini(old);
	return rc;
}

static int del(void *self, const char *server, const struct seat *seat)
{
	struct memory *m = memory_of(self);
	struct session *session;

	(void)server;
	lock_take(&m->lock);
	session = strmap_get(&m->sessions, seat->key);
	if (session != NULL && session->entry.session_id != seat->session_id)
		session = NULL;
	if (session != NULL) {
		tell_locked(m, session, "offline");
		(void)strmap_del(&m->sessions, seat->key);
		unlink_locked(m, session);
	}
	lock_drop(&m->lock);
	if (session != NULL)
		session_free(session);
	return 0;
}

/* Memory does not forget by itself. */
static int renew(void *self, const char *server, const struct seat *seat, struct registry_found *old)
{
	if (old != NULL)
		*old = (struct registry_found){0};
	(void)memory_of(self);
	(void)server;
	(void)seat;
	return 0;
}

/* What was found under the name in this place of the list. */
static int add_found(struct registry_found *found, const struct session *session, size_t of)
{
	struct registry_entry entry = session->entry;

	entry.of = of;
	return registry_found_add(found, &entry);
}

static int find_keys(void *self, const char *const *keys, size_t n, struct registry_found *found)
{
	struct memory *m = memory_of(self);
	int rc = 0;

	*found = (struct registry_found){0};
	lock_take(&m->lock);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct session *session = strmap_get(&m->sessions, keys[i]);

		if (session != NULL)
			rc = add_found(found, session, i);
	}
	lock_drop(&m->lock);
	if (rc < 0)
		registry_found_fini(found);
	return rc;
}

static int find_users(void *self, const struct user *users, size_t n, struct registry_found *found)
{
	struct memory *m = memory_of(self);
	int rc = 0;

	*found = (struct registry_found){0};
	lock_take(&m->lock);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct person *person = find_person_locked(m, &users[i], false);
		const struct session *session = person != NULL ? person->sessions : NULL;

		for (; rc == 0 && session != NULL; session = session->next)
			rc = add_found(found, session, i);
	}
	lock_drop(&m->lock);
	if (rc < 0)
		registry_found_fini(found);
	return rc;
}

static int next_number(void *self, int64_t mid, uint64_t *number)
{
	struct memory *m = memory_of(self);
	struct person *person = NULL;
	int rc = 0;

	lock_take(&m->lock);
	/* All guests (mid 0) share one count, which is never forgotten as a user's is. */
	if (mid <= 0)
		*number = ++m->numbers;
	else if ((person = find_person_locked(m, &(struct user){.mid = mid}, true)) != NULL)
		*number = ++person->numbers;
	else
		rc = -ENOMEM;
	lock_drop(&m->lock);
	return rc;
}

/* ---- servers and rooms ---- */

static int put_online(void *self, const struct registry_server *told, const struct registry_room *rooms, size_t n)
{
	return online_memory_put(&memory_of(self)->online, told, rooms, n);
}

static int online(void *self, struct registry_rooms *rooms)
{
	return online_memory_rooms(&memory_of(self)->online, rooms);
}

static int servers(void *self, struct registry_servers *list)
{
	return online_memory_servers(&memory_of(self)->online, list);
}

/* The sessions of this server, in an array of m->sessions.count places. */
static size_t list_sessions_locked(struct memory *m, const char *server, struct session **list) NEEDS(m->lock)
{
	struct strmap_cursor cursor = {0};
	const char *key;
	void *value;
	size_t n = 0;

	while (strmap_next(&m->sessions, &cursor, &key, &value)) {
		struct session *session = value;

		if (strcmp(session->entry.server, server) == 0)
			list[n++] = session;
	}
	return n;
}

static int del_server(void *self, const char *id)
{
	struct memory *m = memory_of(self);
	struct session **list;
	int rc = 0;

	lock_take(&m->lock);
	if ((list = calloc(m->sessions.count + 1, sizeof(*list))) == NULL) {
		rc = -ENOMEM;
	} else {
		for (size_t n = list_sessions_locked(m, id, list); n > 0; n--) {
			tell_locked(m, list[n - 1], "offline");
			(void)strmap_del(&m->sessions, list[n - 1]->entry.key);
			unlink_locked(m, list[n - 1]);
			session_free(list[n - 1]);
		}
	}
	lock_drop(&m->lock);
	free(list);
	if (rc == 0)
		online_memory_del(&m->online, id);
	return rc;
}

/* ---- start and end ---- */

int registry_memory_new(struct registry *out)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	m->magic = MEMORY_MAGIC;
	lock_init(&m->lock, LOCK_REGISTRY);
	strmap_init(&m->sessions);
	strmap_init(&m->persons);
	online_memory_init(&m->online);
	*out = (struct registry){
		.put = put,
		.del = del,
		.renew = renew,
		.find_keys = find_keys,
		.find_users = find_users,
		.next_number = next_number,
		.put_online = put_online,
		.online = online,
		.servers = servers,
		.del_server = del_server,
		.self = m,
	};
	return 0;
}

void registry_memory_tell(struct registry *r, const struct tidings *tidings)
{
	memory_of(r->self)->tidings = tidings;
}

void registry_memory_free(struct registry *r)
{
	struct memory *m = memory_of(r->self);

	strmap_drop_all(&m->sessions, session_free);
	strmap_drop_all(&m->persons, free);
	online_memory_fini(&m->online);
	lock_fini(&m->lock);
	m->magic = 0;
	free(m);
	*r = (struct registry){0};
}
