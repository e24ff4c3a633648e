/* redis_lease: see redis_lease.h.
 *
 * A push to a room misses nobody, because logic sends it to every comet that has written down the room, and to every comet whose
 * lease was not renewed lately. A client is told that it is in a room only when the room is written down, or when the lease has run
 * out; and the lease is renewed only when all rooms are written down.
 *
 * Redis may lose data, or go back to older ones. Each write for this comet has a number, and the last one that we heard of goes along
 * with each renewal: where Redis has a smaller one, connections are gone, and all are registered again (cluster/lua/lease.lua).
 * SPDX-License-Identifier: MIT */
#include "logic_client/redis_lease.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cluster/schema.h"
#include "cluster/script.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/signals.h"
#include "common/base/worker.h"
#include "common/redis/redis_reply.h"
#include "logic_client/redis_rooms.h"

/* A starting comet waits so long for Redis. */
#define START_WAIT_NS (30 * CLOCK_SEC)
/* After so long without Redis, registrations may have run out of their time to live. */
#define LONG_AWAY_NS (300 * CLOCK_SEC)
enum verdict {
	VERDICT_KEPT,
	VERDICT_LOST,
	VERDICT_NEW,
	VERDICT_TAKEN,
	VERDICT_LEAVING,
	VERDICT_FENCED,
	VERDICT_NEWER,
	VERDICT_OLDER
};

struct redis_lease {
	unsigned magic;
#define REDIS_LEASE_MAGIC 0x1ea5e000
	/* set once */
	const struct cluster_member *member;
	struct redis_pipe *pipe;
	struct redis_clock *clock;
	struct redis_lease_owner owner;
	int64_t lease_ns;
	int64_t timeout_ns;
	struct worker worker;
	char epoch[24]; /* set by the start */
	/* the worker's, after the start */
	char generation[24]; /* of the data, as the last answer said */
	bool rooms_anew;     /* all rooms are being written again, under this generation */
	int64_t layout;      /* of the data, where it is not ours */
	/* any thread */
	struct redis_rooms rooms;
	atomic_llong renewed_ns; /* when Redis last confirmed it */
	atomic_ullong written;   /* the largest number that we heard of */
	/* under lock */
	struct lock lock;
	struct wire_load load;
	struct client_ports ports;
	unsigned loss;    /* the last one */
	bool registering; /* all connections again, after it */
	bool leaving;     /* this comet goes away */
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

const char *redis_lease_epoch(const struct redis_lease *l)
{
	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	return l->epoch;
}

void redis_lease_written(struct redis_lease *l, uint64_t number)
{
	unsigned long long last = atomic_load(&l->written);

	while (number > last && !atomic_compare_exchange_weak(&l->written, &last, number))
		;
}

/* ---- the lease ---- */

/* What the answer says beside its word. */
static void take_answer(struct redis_lease *l, const struct redisReply *reply, int verdict)
{
	redis_clock_set(l->clock, redis_reply_number(reply, 2));
	if (verdict == VERDICT_NEWER || verdict == VERDICT_OLDER)
		l->layout = redis_reply_number(reply, 1);
	if (verdict == VERDICT_NEW)
		(void)snprintf(l->epoch, sizeof(l->epoch), "%s", redis_reply_text(reply, 1));
	if (verdict > VERDICT_NEW)
		return;
	atomic_store(&l->renewed_ns, clock_now_ns());
	(void)snprintf(l->generation, sizeof(l->generation), "%s", redis_reply_text(reply, 3));
	redis_lease_written(l, (uint64_t)redis_reply_number(reply, 4));
	l->rooms_anew = redis_reply_number(reply, 5) == 0;
}

static int verdict_of(struct redis_lease *l, const struct redisReply *reply)
{
	static const char *const words[] = {
		[VERDICT_KEPT] = "kept",   [VERDICT_LOST] = "lost",       [VERDICT_NEW] = "new",
		[VERDICT_TAKEN] = "taken", [VERDICT_LEAVING] = "leaving", [VERDICT_FENCED] = "fenced",
		[VERDICT_NEWER] = "newer", [VERDICT_OLDER] = "older",
	};

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 6)
		return -EPROTO;
	for (int i = VERDICT_KEPT; i <= VERDICT_OLDER; i++)
		if (redis_reply_says(reply, words[i])) {
			take_answer(l, reply, i);
			return i;
		}
	return -EPROTO;
}

/* A verdict, or -errno. */
static int ask_for_lease(struct redis_lease *l)
{
	const struct config *cfg = l->member->cfg;
	int64_t away_ms = (clock_now_ns() - atomic_load(&l->renewed_ns)) / CLOCK_MS;
	struct redisReply *reply;
	struct wire_load load;
	struct client_ports ports;
	bool leaving, registering;
	int rc;

	lock_take(&l->lock);
	load = l->load;
	ports = l->ports;
	leaving = l->leaving;
	registering = l->registering;
	lock_drop(&l->lock);
	rc = script_run(
		l->pipe, &script_lease, clock_now_ns() + l->timeout_ns, &reply,
		"%s %s %lld %d %llu %s %lld %d %d region %s addrs %s weight %lld connections %lld addresses %lld "
		"delivered %lld dropped %lld leaving %d ws_port %u wss_port %u",
		l->member->server_id, l->epoch, (long long)cfg->redis_lease, SCHEMA, atomic_load(&l->written),
		l->generation, (long long)away_ms, registering, l->rooms_anew, cfg->server_region, l->member->addrs,
		(long long)cfg->server_weight, (long long)load.connections, (long long)load.addresses,
		(long long)load.delivered, (long long)load.dropped, leaving, ports.websocket, ports.websocket_tls);
	if (rc < 0)
		return rc;
	rc = verdict_of(l, reply);
	freeReplyObject(reply);
	return rc;
}

void redis_lease_opened(struct redis_lease *l, struct client_ports ports)
{
	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	lock_take(&l->lock);
	l->ports = ports;
	lock_drop(&l->lock);
}

/* ---- rooms and load ---- */

/* A moment for memory, or for space in the pipe, to come back. False: stopping. */
static bool rest(struct redis_lease *l)
{
	return worker_nap(&l->worker, clock_now_ns() + 10 * CLOCK_MS);
}

void redis_lease_join(struct redis_lease *l, const char *const *rooms, size_t n)
{
	/* A comet that can send nothing for so long cannot renew its lease either. */
	int64_t patient_until = clock_now_ns() + l->lease_ns;

	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	while (stands(l)) {
		int64_t deadline = atomic_load(&l->renewed_ns) + l->lease_ns;
		int rc = redis_rooms_join(&l->rooms, rooms, n, deadline);

		if ((rc == -EAGAIN || rc == -ENOMEM) && clock_now_ns() < patient_until && rest(l))
			continue;
		/* A Redis that refuses this refuses pushes as well; the next renewal writes the rooms down. */
		if (rc != -ETIMEDOUT)
			return;
	}
}

void redis_lease_expect(struct redis_lease *l, const char *room)
{
	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	redis_rooms_expect(&l->rooms, room);
}

static int write_load(struct redis_lease *l, const struct wire_load *load)
{
	return script_run(l->pipe, &script_load, clock_now_ns() + l->timeout_ns, NULL, "%s %lld %lld %lld %lld",
			  l->member->server_id, (long long)load->connections, (long long)load->addresses,
			  (long long)load->delivered, (long long)load->dropped);
}

int redis_lease_report(struct redis_lease *l, const struct wire_load *load, const struct wire_room_count *rooms,
		       size_t n)
{
	int rc;

	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	lock_take(&l->lock);
	l->load = *load;
	lock_drop(&l->lock);
	if ((rc = redis_rooms_note(&l->rooms, rooms, n)) == 0 && (rc = write_load(l, load)) == 0 &&
	    (rc = redis_rooms_write_missing(&l->rooms)) == 0)
		rc = redis_rooms_delete_gone(&l->rooms, load->taken_ns);
	return rc == 0 || rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
}

/* ---- the thread ---- */

static void say_lost(struct redis_lease *l)
{
	unsigned loss;

	lock_take(&l->lock);
	l->registering = true;
	loss = ++l->loss;
	lock_drop(&l->lock);
	l->owner.lost(l->owner.self, loss);
}

/* What follows from a verdict. While the lease says `registering`, pushes to all rooms come here, and pushes to unknown keys are
 * refused. */
static void act(struct redis_lease *l, int verdict, int64_t away_ns)
{
	if (verdict == VERDICT_LOST) {
		count(COUNT_LOSSES);
		LOG(LOG_WARN, log_str("server", l->member->server_id), log_what(EVENT_REGISTRATION_LOST));
	}
	if (verdict == VERDICT_LOST || (verdict == VERDICT_KEPT && away_ns > LONG_AWAY_NS))
		say_lost(l);
	if (verdict <= VERDICT_LOST && l->rooms_anew) {
		redis_rooms_lose(&l->rooms);
		worker_wake(&l->worker); /* the next renewal, at once, says that they are written */
	}
}

/* False: another comet has the name, or the data have a newer layout. */
static bool renew(struct redis_lease *l)
{
	int64_t away_ns = clock_now_ns() - atomic_load(&l->renewed_ns);
	int rc;

	if (redis_rooms_write_missing(&l->rooms) < 0)
		return true; /* the lease runs out, so that pushes to all rooms come here */
	if ((rc = ask_for_lease(l)) < 0)
		return true;
	if (rc == VERDICT_FENCED)
		LOG(LOG_ERROR, log_str("server", l->member->server_id), log_what(EVENT_SERVER_ID_TAKEN));
	if (rc == VERDICT_NEWER || rc == VERDICT_OLDER)
		schema_say(l->layout);
	if (rc == VERDICT_FENCED || rc == VERDICT_NEWER) {
		l->owner.fenced(l->owner.self);
		return false;
	}
	act(l, rc, away_ns);
	return true;
}

static void run(void *arg)
{
	struct redis_lease *l = arg;

	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	while (worker_wait(&l->worker, clock_now_ns() + l->lease_ns / 3) && renew(l))
		;
}

void redis_lease_registered(struct redis_lease *l, unsigned loss)
{
	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	lock_take(&l->lock);
	if (l->loss == loss)
		l->registering = false;
	lock_drop(&l->lock);
	worker_wake(&l->worker); /* the next renewal, at once, says so */
}

void redis_lease_leave(struct redis_lease *l)
{
	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	lock_take(&l->lock);
	l->leaving = true;
	lock_drop(&l->lock);
	worker_wake(&l->worker); /* renew at once */
}

/* ---- start and stop ---- */

/* -ECANCELED: the process is asked to stop; before the start is done no other thread looks for that. */
static int pause_a_moment(void)
{
	const struct timespec moment = {.tv_nsec = 100 * CLOCK_MS};

	(void)nanosleep(&moment, NULL);
	return signals_ask_to_stop() ? -ECANCELED : 0;
}

/* A start that ends without the lease; `rc` is the last verdict, or an error of Redis's. */
static int refuse(struct redis_lease *l, int rc)
{
	char words[160];

	if (rc < 0) {
		redis_pipe_words(l->pipe, words, sizeof(words));
		LOG(LOG_ERROR, log_str("redis", l->member->cfg->redis_addr), log_what(EVENT_REDIS_NEEDED),
		    log_str("error", words));
		return -ERR_NO_REDIS;
	}
	if (rc == VERDICT_TAKEN) {
		LOG(LOG_ERROR, log_str("server", l->member->server_id), log_what(EVENT_SERVER_ID_TAKEN));
		return -ERR_NAMESAKE;
	}
	schema_say(l->layout);
	return -ERR_SCHEMA;
}

static int take(struct redis_lease *l)
{
	int64_t redis_by = clock_now_ns() + START_WAIT_NS;
	int64_t free_by = 0; /* the end of a lease that nobody renews; not known before Redis answers */

	for (;;) {
		int64_t asked = clock_now_ns(); /* what is answered late may have been true then */
		int rc = ask_for_lease(l);
		int64_t now = clock_now_ns();
		bool held = rc == VERDICT_TAKEN || rc == VERDICT_OLDER;

		if (rc == VERDICT_NEW)
			return 0;
		if (rc == VERDICT_NEWER || (held && free_by != 0 && asked > free_by) || (rc < 0 && now > redis_by))
			return refuse(l, rc);
		/* A holder that is going away gives the name back, or its lease runs out. */
		if (rc == VERDICT_LEAVING || (held && free_by == 0)) {
			if (free_by == 0)
				LOG(LOG_INFO, log_str("server", l->member->server_id),
				    log_what(rc == VERDICT_OLDER ? EVENT_LAYOUT_AWAITED : EVENT_SERVER_ID_AWAITED));
			free_by = now + l->lease_ns + l->lease_ns / 2;
		}
		if ((rc = pause_a_moment()) < 0)
			return rc;
	}
}

static void free_lease(struct redis_lease *l)
{
	redis_rooms_fini(&l->rooms);
	lock_fini(&l->lock);
	l->magic = 0;
	free(l);
}

int redis_lease_start(const struct cluster_member *member, struct redis_pipe *pipe, struct redis_clock *clock,
		      const struct redis_lease_owner *owner, struct redis_lease **out)
{
	struct redis_lease *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	l->magic = REDIS_LEASE_MAGIC;
	l->member = member;
	l->pipe = pipe;
	l->clock = clock;
	l->owner = *owner;
	l->generation[0] = '0';
	l->lease_ns = member->cfg->redis_lease * CLOCK_MS;
	l->timeout_ns = member->cfg->redis_timeout * CLOCK_MS;
	lock_init(&l->lock, LOCK_SERVICE);
	if ((rc = redis_rooms_init(&l->rooms, pipe, member->cfg, member->server_id)) < 0 || (rc = take(l)) < 0 ||
	    (rc = worker_start(&l->worker, "lease", run, l)) < 0) {
		free_lease(l);
		return rc;
	}
	*out = l;
	return 0;
}

/* Sessions are void without the lease: nobody has to be told of each. */
static void give_back(struct redis_lease *l)
{
	(void)script_run(l->pipe, &script_remove, clock_now_ns() + l->timeout_ns, NULL, "%s %s %s",
			 l->member->server_id, l->epoch, "");
}

void redis_lease_stop(struct redis_lease **lease)
{
	struct redis_lease *l = *lease;

	OBJ_CHECK(l, REDIS_LEASE_MAGIC);
	worker_stop(&l->worker);
	give_back(l);
	free_lease(l);
	*lease = NULL;
}
