/* redis_lease: see redis_lease.h.
 *
 * Why a push to a room misses nobody: logic sends it to every comet that has written down the room, and to every comet whose
 * lease was not renewed lately. A client is told that it is in a room only when the room is written down, or when the lease is
 * over; and the lease is renewed only when all rooms are written down.
 * SPDX-License-Identifier: MIT */
#include "logic_client/redis_lease.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/counters.h"
#include "common/err.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/obj.h"
#include "common/signals.h"
#include "common/strmap.h"
#include "common/thread.h"

/* How long a starting comet waits for Redis. */
#define START_WAIT_NS (30 * CLOCK_SEC)
/* After so long without Redis, registrations may have run out of their time to live. */
#define LONG_AWAY_NS (300 * CLOCK_SEC)
/* Rooms written by one command. */
#define CHUNK 256

/* A room as Redis has it, or is to have it. */
struct told {
	int64_t count;
	int64_t joined_ns; /* when somebody last found that it is not there */
	bool is_there;     /* Redis has confirmed it ... */
	bool is_current;   /* ... with this count */
	unsigned write;    /* the last write of it that was queued */
	unsigned report;   /* the report that named it last */
};

enum verdict { VERDICT_KEPT, VERDICT_NEW, VERDICT_TAKEN, VERDICT_LEAVING, VERDICT_FENCED };

struct redis_lease {
	unsigned magic;
#define REDIS_LEASE_MAGIC 0x1ea5e000
	/* set once */
	const struct redis_client_options *opt;
	struct redis_pipe *pipe;
	struct redis_clock *clock;
	redis_lease_lost *lost;
	void *lost_self;
	int64_t lease_ns;
	int64_t timeout_ns;
	struct thread *thread;
	/* the thread's, after the start */
	char epoch[24];
	/* any thread */
	atomic_llong renewed_ns; /* when Redis last confirmed it */
	/* under lock */
	struct lock lock;
	pthread_cond_t wake;
	bool stop;
	struct wire_load load;
	struct strmap rooms;     /* room -> struct told */
	unsigned to_write;       /* rooms that are not current */
	unsigned writes, report; /* the last ones */
	unsigned loss;           /* the last one */
	bool registered;         /* again, after it: to be said at the next renewal */
	bool leaving;            /* this comet goes away ... */
	bool hurry;              /* ... which is to be said now */
};

static bool stands(const struct redis_lease *l)
{
	return clock_now_ns() - atomic_load(&l->renewed_ns) < l->lease_ns;
}

bool redis_lease_stands(struct redis_lease *l)
{
	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	return stands(l);
}

/* ---- the lease ---- */

/* Renew the lease, or take it where nobody has it. What an earlier holder left is removed. */
static const char lease_script[] =
	"local t = redis.call('TIME') "
	"local now = t[1] * 1000 + math.floor(t[2] / 1000) "
	"local server, mine, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]) "
	"local key = 'comet:server:' .. server "
	"local epoch, updated = unpack(redis.call('HMGET', key, 'epoch', 'updated')) "
	"local fields = {'updated', string.format('%.0f', now)} "
	"for i = 4, #ARGV do fields[#fields + 1] = ARGV[i] end "
	"if epoch and epoch == mine then "
	"  redis.call('HSET', key, unpack(fields)) "
	"  return {'kept', epoch, string.format('%.0f', now)} "
	"end "
	"if epoch and (mine ~= '' or now - tonumber(updated) <= lease) then "
	"  local leaving = redis.call('HGET', key, 'leaving') == '1' "
	"  return {mine ~= '' and 'fenced' or leaving and 'leaving' or 'taken', epoch, string.format('%.0f', now)} "
	"end "
	/* Who had the name before and lost it with all data keeps its epoch: sessions that were saved are valid again. */
	"local id = mine "
	"if id == '' then "
	"  id = math.max(t[1] * 1000000 + t[2], tonumber(redis.call('GET', 'comet:ids') or '0') + 1) "
	"  id = string.format('%.0f', id) "
	"  redis.call('SET', 'comet:ids', id) "
	"end "
	"redis.call('DEL', key, 'comet:rooms:' .. server, 'comet:push:' .. server) "
	"redis.call('HSET', key, 'epoch', id, 'sent', 0, 'registering', mine ~= '' and 1 or 0, unpack(fields)) "
	"redis.call('SADD', 'comet:servers', server) "
	"return {'new', id, string.format('%.0f', now)}";

static int verdict_of(struct redis_lease *l, const struct redisReply *reply)
{
	static const char *const words[] = {
		[VERDICT_KEPT] = "kept",       [VERDICT_NEW] = "new",       [VERDICT_TAKEN] = "taken",
		[VERDICT_LEAVING] = "leaving", [VERDICT_FENCED] = "fenced",
	};

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
		return -EPROTO;
	for (int i = 0; i < 3; i++)
		if (reply->element[i]->str == NULL)
			return -EPROTO;
	redis_clock_set(l->clock, strtoll(reply->element[2]->str, NULL, 10));
	for (int i = VERDICT_KEPT; i <= VERDICT_FENCED; i++)
		if (strcmp(reply->element[0]->str, words[i]) == 0) {
			if (i == VERDICT_NEW)
				(void)snprintf(l->epoch, sizeof(l->epoch), "%s", reply->element[1]->str);
			return i;
		}
	return -EPROTO;
}

/* A verdict, or -errno. */
static int ask_for_lease(struct redis_lease *l)
{
	const struct config *cfg = l->opt->cfg;
	struct redisReply *reply;
	struct wire_load load;
	bool leaving;
	int rc;

	lock_take(&l->lock);
	load = l->load;
	leaving = l->leaving;
	lock_drop(&l->lock);
	rc = redis_pipe_call(l->pipe, REDIS_AGAIN, clock_now_ns() + l->timeout_ns, &reply,
			     "EVAL %s 0 %s %s %lld region %s addrs %s weight %lld connections %lld addresses %lld "
			     "delivered %lld dropped %lld leaving %d",
			     lease_script, l->opt->server_id, l->epoch, (long long)cfg->redis_lease, cfg->server_region,
			     l->opt->addrs, (long long)cfg->server_weight, (long long)load.connections,
			     (long long)load.addresses, (long long)load.delivered, (long long)load.dropped, leaving);
	if (rc < 0)
		return rc;
	rc = verdict_of(l, reply);
	freeReplyObject(reply);
	if (rc == VERDICT_KEPT || rc == VERDICT_NEW)
		atomic_store(&l->renewed_ns, clock_now_ns());
	return rc;
}

/* ---- rooms ---- */

/* Several rooms in one HSET or HDEL, several of these under way. All writes of rooms are queued in the pipe under the lock:
 * so their order there is the order in which they were decided. */
struct writes {
	const char *v[2 + 2 * CHUNK]; /* the command that is being made */
	char counts[CHUNK][24];
	int n;
	char **rooms; /* copies of the ids of all */
	size_t n_rooms, room_for;
	struct redis_call **calls;
	size_t n_calls;
	unsigned number;
};

static void set_current_locked(struct redis_lease *l, struct told *t, bool is_current) NEEDS(l->lock)
{
	if (t->is_current == is_current)
		return;
	t->is_current = is_current;
	if (is_current)
		l->to_write--;
	else
		l->to_write++;
}

/* The room's entry, made if need be; NULL: no memory. */
static struct told *told_locked(struct redis_lease *l, const char *room) NEEDS(l->lock)
{
	struct told *t = strmap_get(&l->rooms, room);

	if (t != NULL)
		return t;
	if ((t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	if (strmap_put(&l->rooms, room, t, NULL) < 0) {
		free(t);
		return NULL;
	}
	l->to_write++;
	return t;
}

/* The room at which a walk through all stands. */
static void forget_walked_locked(struct redis_lease *l, const char *room) NEEDS(l->lock)
{
	struct told *t = strmap_del_walked(&l->rooms, room);

	if (t != NULL)
		set_current_locked(l, t, true);
	free(t);
}

/* Redis has the room, and perhaps its count, unless a newer write is under way. */
static void confirm(struct redis_lease *l, const char *room, unsigned write, bool with_count)
{
	struct told *t;

	lock_take(&l->lock);
	if ((t = strmap_get(&l->rooms, room)) != NULL && t->write == write) {
		t->is_there = true;
		if (with_count)
			set_current_locked(l, t, true);
	}
	lock_drop(&l->lock);
}

/* Queue one HSETNX if the room is not there. *call stays NULL where there is nothing to wait for. */
static int begin_join(struct redis_lease *l, const char *room, int64_t deadline_ns, struct redis_call **call,
		      unsigned *write)
{
	struct told *t;
	int rc = 0;

	*call = NULL;
	lock_take(&l->lock);
	if ((t = told_locked(l, room)) == NULL) {
		rc = -ENOMEM;
	} else {
		t->joined_ns = clock_now_ns();
		if (t->count == 0)
			t->count = 1;
		if (!t->is_there) {
			*write = t->write = ++l->writes;
			rc = redis_pipe_begin(l->pipe, REDIS_AGAIN, deadline_ns, call, "HSETNX comet:rooms:%s %s 1",
					      l->opt->server_id, room);
		}
	}
	lock_drop(&l->lock);
	return rc;
}

/* A moment for memory, or for room in the pipe, to come back. False: stopping. */
static bool rest(struct redis_lease *l)
{
	int64_t until = clock_now_ns() + 10 * CLOCK_MS;
	bool stop;

	lock_take(&l->lock);
	while (!l->stop && lock_wait_until(&l->wake, &l->lock, until))
		;
	stop = l->stop;
	lock_drop(&l->lock);
	return !stop;
}

void redis_lease_join(struct redis_lease *l, const char *room)
{
	/* Who can send nothing for so long cannot renew the lease either. */
	int64_t patient_until = clock_now_ns() + l->lease_ns;

	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	while (stands(l)) {
		int64_t deadline = atomic_load(&l->renewed_ns) + l->lease_ns;
		struct redis_call *call;
		unsigned write = 0;
		int rc = begin_join(l, room, deadline, &call, &write);

		if (rc == 0 && call != NULL && (rc = redis_pipe_end(l->pipe, call, NULL)) == 0)
			confirm(l, room, write, false);
		if ((rc == -EAGAIN || rc == -ENOMEM) && clock_now_ns() < patient_until && rest(l))
			continue;
		/* Should Redis refuse it, it refuses pushes as well; the next renewal writes the room down. */
		if (rc != -ETIMEDOUT)
			return;
	}
}

static int queue_locked(struct redis_lease *l, struct writes *w) NEEDS(l->lock)
{
	int64_t deadline = clock_now_ns() + l->timeout_ns;
	int rc = 0;

	if (w->n > 2)
		rc = redis_pipe_beginv(l->pipe, REDIS_AGAIN, deadline, &w->calls[w->n_calls], w->n, w->v, NULL);
	if (w->n > 2 && rc == 0)
		w->n_calls++;
	w->n = 2;
	return rc;
}

/* Add a room with its entry; `set`: HSET with its count, else HDEL, and its entry is forgotten. */
static int add_locked(struct redis_lease *l, struct writes *w, const char *room, struct told *t, bool set)
	NEEDS(l->lock)
{
	char *copy = strdup(room);

	if (copy == NULL)
		return -ENOMEM;
	w->rooms[w->n_rooms++] = copy;
	w->v[w->n++] = copy;
	if (set) {
		char *count = w->counts[(w->n - 3) / 2];

		(void)snprintf(count, sizeof(w->counts[0]), "%lld", (long long)t->count);
		w->v[w->n++] = count;
		t->write = w->number;
	} else {
		forget_walked_locked(l, room);
	}
	return w->n + 2 > 2 + 2 * CHUNK ? queue_locked(l, w) : 0;
}

/* Queue the rooms that Redis has not confirmed (set), or those that the last report did not name and that nobody has joined
 * since it was taken. */
static int begin_writes_locked(struct redis_lease *l, struct writes *w, const char *key, bool set, int64_t taken_ns)
	NEEDS(l->lock)
{
	struct strmap_cursor cursor = {0};
	const char *room;
	void *value;
	int rc = 0;

	w->room_for = l->rooms.count + 1;
	w->rooms = calloc(w->room_for, sizeof(char *));
	w->calls = calloc(w->room_for / CHUNK + 2, sizeof(struct redis_call *));
	if (w->rooms == NULL || w->calls == NULL)
		return -ENOMEM;
	w->number = ++l->writes;
	w->v[0] = set ? "HSET" : "HDEL";
	w->v[1] = key;
	w->n = 2;
	while (rc == 0 && strmap_next(&l->rooms, &cursor, &room, &value)) {
		struct told *t = value;

		if (set ? !t->is_current : t->report != l->report && t->joined_ns < taken_ns)
			rc = add_locked(l, w, room, t, set);
	}
	strmap_shrink(&l->rooms);
	return rc == 0 ? queue_locked(l, w) : rc;
}

/* Wait for what was queued; what Redis took is confirmed. */
static int end_writes(struct redis_lease *l, struct writes *w, bool set, int rc)
{
	for (size_t i = 0; i < w->n_calls; i++) {
		int end = redis_pipe_end(l->pipe, w->calls[i], NULL);

		if (rc == 0)
			rc = end;
	}
	for (size_t i = 0; i < w->n_rooms; i++) {
		if (rc == 0 && set)
			confirm(l, w->rooms[i], w->number, true);
		free(w->rooms[i]);
	}
	free(w->rooms);
	free(w->calls);
	return rc;
}

static int write_rooms(struct redis_lease *l, bool set, int64_t taken_ns)
{
	struct writes *w = calloc(1, sizeof(*w));
	char *key = NULL;
	int rc = w != NULL && asprintf(&key, "comet:rooms:%s", l->opt->server_id) > 0 ? 0 : -ENOMEM;

	if (rc == 0) {
		lock_take(&l->lock);
		if (!set || l->to_write > 0)
			rc = begin_writes_locked(l, w, key, set, taken_ns);
		lock_drop(&l->lock);
		rc = end_writes(l, w, set, rc);
		free(key);
	}
	free(w);
	return rc;
}

static int write_missing(struct redis_lease *l)
{
	return write_rooms(l, true, 0);
}

/* Take the report over into the map; rooms whose count has changed are to be written. */
static int note_report(struct redis_lease *l, const struct wire_load *load, const struct wire_room_count *rooms,
		       size_t n)
{
	int rc = 0;

	lock_take(&l->lock);
	l->load = *load;
	l->report++;
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct told *t = told_locked(l, rooms[i].room);

		if (t == NULL) {
			rc = -ENOMEM;
			continue;
		}
		t->report = l->report;
		if (t->count != rooms[i].count) {
			t->count = rooms[i].count;
			t->write = 0; /* what is under way does not know this count */
			set_current_locked(l, t, false);
		}
	}
	lock_drop(&l->lock);
	return rc;
}

/* Only into a lease that is there: a hash with nothing else in it would look like one. */
static int write_load(struct redis_lease *l, const struct wire_load *load)
{
	static const char script[] = "local key = 'comet:server:' .. ARGV[1] "
				     "if redis.call('EXISTS', key) == 0 then return 0 end "
				     "redis.call('HSET', key, 'connections', ARGV[2], 'addresses', ARGV[3], "
				     "'delivered', ARGV[4], 'dropped', ARGV[5]) "
				     "return 1";

	return redis_pipe_call(l->pipe, REDIS_AGAIN, clock_now_ns() + l->timeout_ns, NULL,
			       "EVAL %s 0 %s %lld %lld %lld %lld", script, l->opt->server_id,
			       (long long)load->connections, (long long)load->addresses, (long long)load->delivered,
			       (long long)load->dropped);
}

int redis_lease_report(struct redis_lease *l, const struct wire_load *load, const struct wire_room_count *rooms,
		       size_t n)
{
	int rc;

	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	if ((rc = note_report(l, load, rooms, n)) == 0 && (rc = write_load(l, load)) == 0 &&
	    (rc = write_missing(l)) == 0)
		rc = write_rooms(l, false, load->taken_ns);
	return rc == 0 || rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
}

/* ---- the thread ---- */

static void lose_rooms_locked(struct redis_lease *l) NEEDS(l->lock)
{
	struct strmap_cursor cursor = {0};
	const char *room;
	void *value;

	while (strmap_next(&l->rooms, &cursor, &room, &value)) {
		struct told *t = value;

		t->is_there = false;
		t->write = 0;
		set_current_locked(l, t, false);
	}
}

static void say_lost(struct redis_lease *l, bool with_rooms)
{
	unsigned loss;

	lock_take(&l->lock);
	if (with_rooms)
		lose_rooms_locked(l);
	l->registered = false;
	loss = ++l->loss;
	lock_drop(&l->lock);
	l->lost(l->lost_self, loss);
}

/* Redis does not know us any more, and has taken us in again. */
static void came_back(struct redis_lease *l)
{
	LOG(LOG_WARN, log_str("server", l->opt->server_id),
	    log_what("Redis has lost this comet's registration; registering all connections again"));
	/* While it says `registering`, pushes to all rooms come here, and those to keys that nobody knows are refused. */
	say_lost(l, true);
}

/* All that was lost is there again: the rooms, since the lease was renewed, and the connections. */
static void say_registered(struct redis_lease *l)
{
	bool registered;

	lock_take(&l->lock);
	registered = l->registered;
	lock_drop(&l->lock);
	if (!registered || redis_pipe_call(l->pipe, REDIS_AGAIN, clock_now_ns() + l->timeout_ns, NULL,
					   "HSET comet:server:%s registering 0", l->opt->server_id) < 0)
		return;
	lock_take(&l->lock);
	l->registered = false;
	lock_drop(&l->lock);
}

/* False: the name is another's. */
static bool renew(struct redis_lease *l)
{
	int64_t away = clock_now_ns() - atomic_load(&l->renewed_ns);
	int rc;

	if (write_missing(l) < 0)
		return true; /* the lease runs out, so that pushes to all rooms come here */
	rc = ask_for_lease(l);
	if (rc == VERDICT_FENCED) {
		LOG(LOG_ERROR, log_str("server", l->opt->server_id),
		    log_what("another comet has this name; give each its own server.id. This one goes"));
		l->opt->fenced(l->opt->fenced_self);
		return false;
	}
	if (rc == VERDICT_NEW)
		came_back(l);
	else if (rc == VERDICT_KEPT && away > LONG_AWAY_NS)
		say_lost(l, false);
	if (rc == VERDICT_KEPT)
		say_registered(l);
	return true;
}

static void *run(void *arg)
{
	struct redis_lease *l = arg;
	bool ours = true;

	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	lock_take(&l->lock);
	while (!l->stop && ours) {
		int64_t next = clock_now_ns() + l->lease_ns / 3;

		while (!l->stop && !l->hurry && lock_wait_until(&l->wake, &l->lock, next))
			;
		if (l->stop)
			break;
		l->hurry = false;
		lock_drop(&l->lock);
		ours = renew(l);
		lock_take(&l->lock);
	}
	lock_drop(&l->lock);
	return NULL;
}

void redis_lease_registered(struct redis_lease *l, unsigned loss)
{
	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	lock_take(&l->lock);
	l->registered = l->loss == loss;
	lock_drop(&l->lock);
}

void redis_lease_leave(struct redis_lease *l)
{
	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	lock_take(&l->lock);
	l->leaving = true;
	l->hurry = true;
	lock_drop(&l->lock);
	(void)pthread_cond_broadcast(&l->wake);
}

/* ---- start and stop ---- */

/* -ECANCELED: not any more, the process is asked to stop, which nobody else hears before it has started. */
static int pause_a_moment(struct redis_lease *l)
{
	int64_t until = clock_now_ns() + 100 * CLOCK_MS;

	lock_take(&l->lock);
	while (lock_wait_until(&l->wake, &l->lock, until))
		;
	lock_drop(&l->lock);
	return signals_ask_to_stop() ? -ECANCELED : 0;
}

static int take(struct redis_lease *l)
{
	int64_t redis_by = clock_now_ns() + START_WAIT_NS;
	int64_t free_by = 0; /* when the lease of a holder that says nothing is over; not known before Redis answers */

	for (;;) {
		int rc = ask_for_lease(l);
		int64_t now = clock_now_ns();

		if (rc == VERDICT_NEW)
			return 0;
		/* One that is going away gives the name back, or its lease runs out. */
		if (rc == VERDICT_LEAVING || (rc == VERDICT_TAKEN && free_by == 0)) {
			if (free_by == 0)
				LOG(LOG_INFO, log_str("server", l->opt->server_id),
				    log_what("the name has a holder; waiting whether it lives, or goes"));
			free_by = now + l->lease_ns + l->lease_ns / 2;
		}
		if (rc == VERDICT_TAKEN && now > free_by) {
			LOG(LOG_ERROR, log_str("server", l->opt->server_id),
			    log_what("another comet has this name; give each its own server.id"));
			return -EADDRINUSE;
		}
		if (rc < 0 && now > redis_by) {
			LOG(LOG_ERROR, log_str("redis", l->opt->cfg->redis_addr),
			    log_what("Redis does not answer; a comet of a cluster needs it to start"));
			return -ETIMEDOUT;
		}
		if ((rc = pause_a_moment(l)) < 0)
			return rc;
	}
}

static void free_lease(struct redis_lease *l)
{
	struct strmap_cursor cursor = {0};
	const char *room;
	void *value;

	while (strmap_next(&l->rooms, &cursor, &room, &value))
		free(value);
	strmap_fini(&l->rooms);
	(void)pthread_cond_destroy(&l->wake);
	lock_fini(&l->lock);
	l->magic = 0;
	free(l);
}

int redis_lease_start(const struct redis_client_options *opt, struct redis_pipe *pipe, struct redis_clock *clock,
		      redis_lease_lost *lost, void *lost_self, struct redis_lease **out)
{
	struct redis_lease *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	l->magic = REDIS_LEASE_MAGIC;
	l->opt = opt;
	l->pipe = pipe;
	l->clock = clock;
	l->lost = lost;
	l->lost_self = lost_self;
	l->lease_ns = opt->cfg->redis_lease * CLOCK_MS;
	l->timeout_ns = opt->cfg->redis_timeout * CLOCK_MS;
	lock_init(&l->lock, LOCK_SERVICE);
	lock_cond_init(&l->wake);
	strmap_init(&l->rooms);
	if ((rc = take(l)) < 0 || (rc = thread_spawn(THREAD_SERVICE, "lease", run, l, &l->thread)) < 0) {
		free_lease(l);
		return rc;
	}
	*out = l;
	return 0;
}

/* Sessions are void without the lease: nobody has to be told of each. */
static void give_back(struct redis_lease *l)
{
	static const char script[] = "local key = 'comet:server:' .. ARGV[1] "
				     "if redis.call('HGET', key, 'epoch') ~= ARGV[2] then return 0 end "
				     "redis.call('DEL', key, 'comet:rooms:' .. ARGV[1], 'comet:push:' .. ARGV[1]) "
				     "return redis.call('SREM', 'comet:servers', ARGV[1])";

	(void)redis_pipe_call(l->pipe, REDIS_AGAIN, clock_now_ns() + l->timeout_ns, NULL, "EVAL %s 0 %s %s", script,
			      l->opt->server_id, l->epoch);
}

void redis_lease_stop(struct redis_lease **lease)
{
	struct redis_lease *l = *lease;

	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	lock_take(&l->lock);
	l->stop = true;
	lock_drop(&l->lock);
	(void)pthread_cond_broadcast(&l->wake);
	thread_join(&l->thread);
	give_back(l);
	free_lease(l);
	*lease = NULL;
}
