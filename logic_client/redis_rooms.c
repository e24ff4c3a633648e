/* redis_rooms: see redis_rooms.h. SPDX-License-Identifier: MIT */
#include "logic_client/redis_rooms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/script.h"
#include "common/base/clock.h"
#include "common/config/event_kinds.h"

/* Rooms written by one command, and as many as are under way at one time: all of a comet's may be more than the pipe takes, in which
 * others want a place as well. */
#define CHUNK 256
#define ROUND (128 * CHUNK)
/* Joined rooms whose writes are under way at one time. */
#define JOINS_AT_ONCE 128

/* A room as Redis has it, or is to have it. */
struct told {
	int64_t count;
	int64_t joined_ns; /* when somebody last found that it is not there */
	bool is_there;     /* Redis has confirmed it ... */
	bool is_current;   /* ... with this count */
	unsigned write;    /* the last write of it that was queued */
	unsigned report;   /* the report that named it last */
};

/* Several rooms in one HSET or HDEL, several of these under way. All writes of rooms are queued in the pipe under the lock:
 * so their order there is the order in which they were decided. */
struct writes {
	const char *v[2 + 2 * CHUNK]; /* the command that is being made, or the arguments of the script */
	char counts[CHUNK][24];
	int n;
	char *rooms[ROUND]; /* copies of the ids of all */
	size_t n_rooms, n_ended;
	struct redis_call *calls[ROUND / CHUNK + 1];
	size_t ends[ROUND / CHUNK + 1]; /* each has the rooms up to here from the end of the one before */
	size_t n_calls;
	unsigned number;
	bool more; /* rooms are left */
};

static void set_current_locked(struct redis_rooms *r, struct told *t, bool is_current) NEEDS(r->lock)
{
	if (t->is_current == is_current)
		return;
	t->is_current = is_current;
	if (is_current)
		r->to_write--;
	else
		r->to_write++;
}

/* The room's entry, made if need be; NULL: no memory. */
static struct told *told_locked(struct redis_rooms *r, const char *room) NEEDS(r->lock)
{
	struct told *t = strmap_get(&r->told, room);

	if (t != NULL)
		return t;
	if ((t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	if (strmap_put(&r->told, room, t, NULL) < 0) {
		free(t);
		return NULL;
	}
	r->to_write++;
	return t;
}

/* The same of a room in which somebody is now. */
static struct told *joined_locked(struct redis_rooms *r, const char *room) NEEDS(r->lock)
{
	struct told *t = told_locked(r, room);

	if (t == NULL)
		return NULL;
	t->joined_ns = clock_now_ns();
	if (t->count == 0)
		t->count = 1;
	return t;
}

/* The place of a walk through all rooms. */
static void forget_walked_locked(struct redis_rooms *r, const char *room) NEEDS(r->lock)
{
	struct told *t = strmap_del_walked(&r->told, room);

	if (t != NULL)
		set_current_locked(r, t, true);
	free(t);
}

/* Redis has the room, and perhaps its count, unless a newer write is under way. */
static void confirm(struct redis_rooms *r, const char *room, unsigned write, bool with_count)
{
	struct told *t;

	lock_take(&r->lock);
	if ((t = strmap_get(&r->told, room)) != NULL && t->write == write) {
		t->is_there = true;
		if (with_count)
			set_current_locked(r, t, true);
	}
	lock_drop(&r->lock);
}

static int enter_locked(struct redis_rooms *r, const char *room, int64_t deadline_ns, struct redis_call **call)
	NEEDS(r->lock)
{
	const char *args[] = {r->server_id, room, r->events};

	if (r->events != NULL)
		return script_beginv(r->pipe, &script_enter_room, deadline_ns, call, 3, args, NULL);
	return redis_pipe_begin(r->pipe, REDIS_AGAIN, deadline_ns, call, "HSETNX %s %s 1", r->key.text, room);
}

/* Queue one HSETNX if the room is not there. *call stays NULL where there is nothing to wait for. */
static int begin_join(struct redis_rooms *r, const char *room, int64_t deadline_ns, struct redis_call **call,
		      unsigned *write)
{
	struct told *t;
	int rc = 0;

	*call = NULL;
	lock_take(&r->lock);
	if ((t = joined_locked(r, room)) == NULL) {
		rc = -ENOMEM;
	} else if (!t->is_there) {
		*write = t->write = ++r->writes;
		rc = enter_locked(r, room, deadline_ns, call);
	}
	lock_drop(&r->lock);
	return rc;
}

void redis_rooms_expect(struct redis_rooms *r, const char *room)
{
	struct told *t;

	lock_take(&r->lock);
	if ((t = joined_locked(r, room)) != NULL)
		set_current_locked(r, t, false); /* its mark goes with the count */
	lock_drop(&r->lock);
}

/* At most JOINS_AT_ONCE: all are queued, then all are waited for. */
/* NOLINTNEXTLINE(bugprone-easily-swappable-parameters): how many, and a time */
static int join_some(struct redis_rooms *r, const char *const *rooms, size_t n, int64_t deadline_ns)
{
	struct redis_call *calls[JOINS_AT_ONCE] = {NULL};
	unsigned writes[JOINS_AT_ONCE] = {0};
	size_t begun = 0;
	int rc = 0;

	while (rc == 0 && begun < n)
		if ((rc = begin_join(r, rooms[begun], deadline_ns, &calls[begun], &writes[begun])) == 0)
			begun++;
	for (size_t i = 0; i < begun; i++) {
		int end = calls[i] != NULL ? redis_pipe_end(r->pipe, calls[i], NULL) : 0;

		if (end == 0 && calls[i] != NULL)
			confirm(r, rooms[i], writes[i], false);
		if (rc == 0)
			rc = end;
	}
	return rc;
}

/* NOLINTNEXTLINE(bugprone-easily-swappable-parameters): how many, and a time */
int redis_rooms_join(struct redis_rooms *r, const char *const *rooms, size_t n, int64_t deadline_ns)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i += JOINS_AT_ONCE) {
		const size_t some = n - i < JOINS_AT_ONCE ? n - i : JOINS_AT_ONCE;

		/* The next try brings a script that Redis has forgotten; the deadline ends the loop at the latest. */
		do
			rc = join_some(r, rooms + i, some, deadline_ns);
		while (rc == -ENOEXEC);
	}
	return rc;
}

/* By a script, where back ends are told of rooms; so is what is to be deleted, since a back end may have led somebody in, and we have not
 * read of it yet: only Redis knows. */
static int queue_locked(struct redis_rooms *r, struct writes *w, bool set) NEEDS(r->lock)
{
	const struct redis_script *script = set ? &script_put_rooms : &script_forget_rooms;
	int64_t deadline = clock_now_ns() + r->timeout_ns;
	struct redis_call **call = &w->calls[w->n_calls];
	int rc = 0;

	if (w->n > 2 && set && r->events == NULL)
		rc = redis_pipe_beginv(r->pipe, REDIS_AGAIN, deadline, call, w->n, w->v, NULL);
	else if (w->n > 2)
		rc = script_beginv(r->pipe, script, deadline, call, w->n, w->v, NULL);
	if (w->n > 2 && rc == 0)
		w->ends[w->n_calls++] = w->n_rooms;
	w->n = 2;
	return rc;
}

/* Add a room with its entry. `set`: HSET with its count; otherwise it is deleted, and its entry forgotten. */
static int add_locked(struct redis_rooms *r, struct writes *w, const char *room, struct told *t, bool set)
	NEEDS(r->lock)
{
	char *copy = strdup(room);

	if (copy == NULL)
		return -ENOMEM;
	w->rooms[w->n_rooms++] = copy;
	w->v[w->n++] = copy;
	if (set) {
		char *count = w->counts[(w->n - 3) / 2]; /* behind HSET, its key and the room */

		(void)snprintf(count, sizeof(w->counts[0]), "%lld", (long long)t->count);
		w->v[w->n++] = count;
		t->write = w->number;
	} else {
		forget_walked_locked(r, room);
	}
	return w->n + 2 > 2 + 2 * CHUNK ? queue_locked(r, w, set) : 0;
}

/* Queue rooms that Redis has not confirmed (set), or those that the last report did not name and that nobody has joined
 * since it was taken. */
static int begin_writes_locked(struct redis_rooms *r, struct writes *w, bool set, int64_t taken_ns) NEEDS(r->lock)
{
	struct strmap_cursor cursor = {0};
	const char *room;
	void *value;
	int rc = 0;

	w->number = ++r->writes;
	w->v[0] = set && r->events == NULL ? "HSET" : r->server_id;
	w->v[1] = r->events != NULL ? r->events : set ? r->key.text : "";
	w->n = 2;
	while (rc == 0 && w->n_rooms < ROUND && strmap_next(&r->told, &cursor, &room, &value)) {
		struct told *t = value;

		if (set ? !t->is_current : t->report != r->report && t->joined_ns < taken_ns)
			rc = add_locked(r, w, room, t, set);
	}
	w->more = w->n_rooms == ROUND;
	strmap_shrink(&r->told);
	return rc == 0 ? queue_locked(r, w, set) : rc;
}

/* Redis may have it still: the next time. Without memory it stays there. */
static void delete_later(struct redis_rooms *r, const char *room)
{
	struct told *t;

	lock_take(&r->lock);
	if (strmap_get(&r->told, room) == NULL && (t = told_locked(r, room)) != NULL)
		set_current_locked(r, t, true);
	lock_drop(&r->lock);
}

/* The rooms up to here that have not ended yet were written, or were not. */
static void end_rooms(struct redis_rooms *r, struct writes *w, size_t to, bool set, int rc)
{
	for (; w->n_ended < to; w->n_ended++) {
		if (rc == 0 && set)
			confirm(r, w->rooms[w->n_ended], w->number, true);
		else if (rc < 0 && !set)
			delete_later(r, w->rooms[w->n_ended]);
		free(w->rooms[w->n_ended]);
	}
}

/* Wait for the queued commands; rooms that Redis took are confirmed, whatever became of others: so each try leaves fewer. */
static int end_writes(struct redis_rooms *r, struct writes *w, bool set, int rc)
{
	for (size_t i = 0; i < w->n_calls; i++) {
		int end = redis_pipe_end(r->pipe, w->calls[i], NULL);

		end_rooms(r, w, w->ends[i], set, end);
		if (rc == 0)
			rc = end;
	}
	end_rooms(r, w, w->n_rooms, set, rc);
	return rc;
}

/* As many as are under way at one time. */
static int write_some(struct redis_rooms *r, struct writes *w, bool set, int64_t taken_ns, size_t *all)
{
	int rc = 0;

	w->n_rooms = w->n_ended = w->n_calls = 0; /* those of the round before are no more */
	w->more = false;
	lock_take(&r->lock);
	*all = r->told.count;
	if (!set || r->to_write > 0)
		rc = begin_writes_locked(r, w, set, taken_ns);
	lock_drop(&r->lock);
	return end_writes(r, w, set, rc);
}

static int write_rooms(struct redis_rooms *r, bool set, int64_t taken_ns)
{
	struct writes *w = calloc(1, sizeof(*w));
	size_t written = 0, all, now;
	int rc;

	if (w == NULL)
		return -ENOMEM;
	rc = write_some(r, w, set, taken_ns, &all);
	/* Each is written once, though it may be another count again. */
	while (rc == 0 && w->more && (written += w->n_rooms) < all)
		rc = write_some(r, w, set, taken_ns, &now);
	free(w);
	return rc;
}

int redis_rooms_write_missing(struct redis_rooms *r)
{
	int rc = write_rooms(r, true, 0);

	/* The next try brings a script that Redis has forgotten with all else. */
	return rc == -ENOEXEC ? write_rooms(r, true, 0) : rc;
}

int redis_rooms_delete_gone(struct redis_rooms *r, int64_t taken_ns)
{
	return write_rooms(r, false, taken_ns);
}

int redis_rooms_note(struct redis_rooms *r, const struct wire_room_count *rooms, size_t n)
{
	int rc = 0;

	lock_take(&r->lock);
	r->report++;
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct told *t = told_locked(r, rooms[i].room);

		if (t == NULL) {
			rc = -ENOMEM;
			continue;
		}
		t->report = r->report;
		if (t->count != rooms[i].count) {
			t->count = rooms[i].count;
			t->write = 0; /* a write that is under way has an older count */
			set_current_locked(r, t, false);
		}
	}
	lock_drop(&r->lock);
	return rc;
}

void redis_rooms_lose(struct redis_rooms *r)
{
	struct strmap_cursor cursor = {0};
	const char *room;
	void *value;

	lock_take(&r->lock);
	while (strmap_next(&r->told, &cursor, &room, &value)) {
		struct told *t = value;

		t->is_there = false;
		t->write = 0;
		set_current_locked(r, t, false);
	}
	lock_drop(&r->lock);
}

/* ---- start and end ---- */

int redis_rooms_init(struct redis_rooms *r, struct redis_pipe *pipe, const struct config *cfg, const char *server_id)
{
	*r = (struct redis_rooms){.pipe = pipe,
				  .server_id = server_id,
				  .key = redis_name_key(cfg, "rooms", server_id),
				  .timeout_ns = cfg->redis_timeout * CLOCK_MS};
	lock_init(&r->lock, LOCK_SERVICE);
	strmap_init(&r->told);
	return event_kinds_words(cfg, &r->events);
}

void redis_rooms_fini(struct redis_rooms *r)
{
	strmap_drop_all(&r->told, free);
	free(r->events);
	lock_fini(&r->lock);
}
