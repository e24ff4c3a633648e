/* redis_client: see redis_client.h. Puts lease, calls and pushes together. SPDX-License-Identifier: MIT */
#include "logic_client/redis_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cluster/arrive.h"
#include "cluster/streams.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/uuid.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_pipe.h"
#include "common/redis/redis_watch.h"
#include "logic_client/kicks.h"
#include "logic_client/redis_calls.h"
#include "logic_client/redis_lease.h"
#include "logic_client/redis_others.h"
#include "logic_client/redis_pushes.h"
#include "logic_client/redis_tell.h"
#include "logic_client/redis_who.h"
#include "logic_client/registrar.h"

struct redis_client {
	unsigned magic;
#define REDIS_CLIENT_MAGIC 0x4edc11e7
	/* set once */
	struct redis_client_options opt;
	struct redis_clock clock;
	struct redis_watch *watch;
	struct redis_pipe *pipe;
	struct redis_lease *lease;
	struct kicks kicks;
	struct redis_calls *calls;
	struct redis_tell *tell;
	struct redis_pushes *pushes;
	struct redis_who *who;
	struct registrar registrar;
};

static struct redis_client *client_of(void *self)
{
	struct redis_client *c = self;

	OBJ_CHECK(c, REDIS_CLIENT_MAGIC);
	return c;
}

/* ---- the table ---- */

/* A logic of a release that knows no certificates shall not believe what one that is `open` would. */
static bool needs_proof(const struct redis_client *c, const struct wire_connect *connect)
{
	return config_needs_proof(c->opt.member.cfg) || connect->certified != NULL;
}

static int take_session(struct wire_reply *reply, struct wire_session *session)
{
	int rc = reply->rc;

	if (rc == 0 && reply->session.key[0] == '\0')
		rc = -ERR_NO_LOGIC; /* the logic's reply lacks the key */
	*session = reply->session;
	if (rc == 0) {
		reply->session.accepts = NULL; /* handed over */
		reply->session.grants = NULL;
	} else {
		session->accepts = NULL;
		session->grants = NULL;
	}
	wire_reply_fini(reply);
	return rc;
}

static int connect_client(void *self, const struct wire_connect *connect, struct wire_session *session)
{
	struct redis_client *c = client_of(self);
	struct wire_request request = {.method = WIRE_CONNECT, .connect = *connect};
	struct wire_reply reply;
	char key[UUID_BYTES];
	bool unheard;
	int rc;

	request.connect.needs_proof = needs_proof(c, connect);
	if ((rc = uuid_make(key)) < 0)
		return rc;
	request.connect.new_key = key;
	rc = redis_calls_try(c->calls, &request, &reply, &unheard);
	if (rc == 0 && (rc = take_session(&reply, session)) == -ERR_NO_LOGIC)
		unheard = true; /* so is Redis's answer to the logic, perhaps */
	if (rc < 0 && unheard)
		redis_tell_forget(c->tell, key);
	return rc;
}

static int reauth(void *self, const struct wire_connect *connect, const struct seat *seat, struct wire_renewal *renewal)
{
	struct redis_client *c = client_of(self);
	struct wire_request request = {.method = WIRE_REAUTH, .connect = *connect, .seat = *seat};
	struct wire_reply reply;
	int rc;

	request.connect.needs_proof = needs_proof(c, connect);
	rc = redis_calls_ask(c->calls, &request, &reply);
	if (rc < 0)
		return rc;
	rc = reply.rc;
	renewal->lifetime_ms = reply.session.lifetime_ms;
	renewal->issued_s = reply.session.issued_s;
	renewal->grants = reply.session.grants;
	reply.session.grants = NULL; /* handed over */
	memcpy(renewal->refusal, reply.session.refusal, sizeof(renewal->refusal));
	wire_reply_fini(&reply);
	return rc;
}

static int permit(void *self, const struct wire_connect *connect, const struct seat *seat,
		  const struct wire_room_count *rooms, size_t n, struct grants **grants)
{
	struct redis_client *c = client_of(self);
	struct wire_request request = {
		.method = WIRE_PERMIT, .connect = *connect, .seat = *seat, .rooms = rooms, .n_rooms = n};
	struct wire_reply reply;
	int rc;

	*grants = NULL;
	if ((rc = redis_calls_ask(c->calls, &request, &reply)) < 0)
		return rc;
	rc = reply.rc;
	*grants = reply.session.grants;
	reply.session.grants = NULL; /* handed over */
	wire_reply_fini(&reply);
	return rc;
}

static void arrived(void *self, const struct seat *seat)
{
	struct redis_client *c = client_of(self);

	kicks_repeat(&c->kicks, seat, c->opt.sink, c->opt.sink_self);
}

static int take_over(void *self, const struct seat *seat)
{
	struct redis_client *c = client_of(self);
	struct wire_request request = {.method = WIRE_HEARTBEAT, .seat = *seat};
	struct wire_reply reply;
	int rc = redis_calls_ask(c->calls, &request, &reply);

	if (rc < 0)
		return rc;
	rc = reply.rc;
	wire_reply_fini(&reply);
	return rc;
}

static void disconnect_client(void *self, const struct seat *seat)
{
	(void)redis_tell_add(client_of(self)->tell, WIRE_DISCONNECT, seat);
}

static int heartbeat(void *self, const struct seat *seat)
{
	int rc = redis_tell_add(client_of(self)->tell, WIRE_HEARTBEAT, seat);

	return rc < 0 ? -ERR_NO_LOGIC : 0;
}

static int renew_online(void *self, const struct wire_load *load, const struct wire_room_count *rooms, size_t n,
			void (*each)(void *arg, const char *room, int64_t count), void *arg)
{
	struct redis_client *c = client_of(self);
	struct wire_request request = {.method = WIRE_RENEW_ONLINE, .load = *load, .rooms = rooms, .n_rooms = n};
	struct wire_reply reply;
	int rc = redis_lease_report(c->lease, load, rooms, n);

	if (rc < 0 || n == 0)
		return rc;
	if ((rc = redis_calls_ask(c->calls, &request, &reply)) < 0)
		return rc;
	rc = reply.rc;
	for (size_t i = 0; rc == 0 && i < reply.n_rooms; i++)
		each(arg, reply.rooms[i].room, reply.rooms[i].count);
	wire_reply_fini(&reply);
	return rc;
}

static void join_rooms(void *self, const char *const *rooms, size_t n)
{
	redis_lease_join(client_of(self)->lease, rooms, n);
}

static void expect_room(void *self, const char *room)
{
	redis_lease_expect(client_of(self)->lease, room);
}

static size_t go_away(void *self, struct logic_node *others, size_t max)
{
	struct redis_client *c = client_of(self);

	redis_lease_leave(c->lease);
	return redis_others(c->pipe, c->opt.member.cfg, c->opt.member.server_id, others, max);
}

static int receive(void *self, const struct seat *seat, const struct packet *p)
{
	struct redis_client *c = client_of(self);
	struct wire_request request = {.method = WIRE_RECEIVE, .seat = *seat, .packet = *p};
	struct wire_reply reply;
	int rc = redis_calls_ask(c->calls, &request, &reply);

	if (rc < 0)
		return rc;
	rc = reply.rc;
	wire_reply_fini(&reply);
	return rc;
}

static void resume(void *self, struct resume *all, size_t n, int64_t deadline_ns)
{
	struct redis_client *c = client_of(self);

	streams_resume(c->pipe, c->opt.member.cfg, deadline_ns, all, n);
}

static int stay(void *self, const char *const *rooms, size_t n)
{
	struct redis_client *c = client_of(self);
	const struct config *cfg = c->opt.member.cfg;

	return streams_stay(c->pipe, cfg, rooms, n, clock_now_ns() + cfg->redis_timeout * CLOCK_MS) < 0 ? -ERR_NO_LOGIC
													: 0;
}

static int confirm(void *self, const struct acks_of *all, size_t n, int64_t deadline_ns)
{
	struct redis_client *c = client_of(self);

	return streams_confirm(c->pipe, c->opt.member.cfg, deadline_ns, all, n) < 0 ? -ERR_NO_LOGIC : 0;
}

static int confirmed(void *self, const char *name, int64_t deadline_ns, struct acks *out)
{
	return streams_confirmed(client_of(self)->pipe, name, deadline_ns, out);
}

struct logic_client redis_client_table(struct redis_client *c)
{
	return (struct logic_client){
		.waits_to_ask = true,
		.waits_to_tell = true,
		.connect = connect_client,
		.reauth = reauth,
		.permit = permit,
		.disconnect = disconnect_client,
		.heartbeat = heartbeat,
		.renew_online = renew_online,
		.arrived = arrived,
		.take_over = take_over,
		.join = join_rooms,
		.expect = expect_room,
		.go_away = go_away,
		.receive = receive,
		.resume = resume,
		.stay = stay,
		.confirm = confirm,
		.confirmed = confirmed,
		.self = c,
	};
}

void redis_client_opened(struct redis_client *c, struct client_ports ports)
{
	redis_lease_opened(client_of(c)->lease, ports);
}

int redis_client_ready(void *arg, char *text, size_t text_bytes)
{
	struct redis_client *c = client_of(arg);

	int64_t patience_ns = c->opt.member.cfg->redis_lease * CLOCK_MS;

	if (!redis_lease_stands(c->lease)) {
		redis_pipe_words(c->pipe, text, text_bytes);
		return -ENOTCONN;
	}
	if (redis_pushes_is_down(c->pushes, patience_ns, text, text_bytes) ||
	    redis_calls_is_deaf(c->calls, patience_ns, text, text_bytes))
		return -ENOTCONN;
	if (!redis_calls_has_logic(c->calls)) {
		(void)snprintf(text, text_bytes, "no logic service is up (with redis.prefix = %s, redis.db = %lld)",
			       c->opt.member.cfg->redis_prefix, (long long)c->opt.member.cfg->redis_db);
		return -ERR_NO_LOGIC;
	}
	redis_clock_note(text, text_bytes);
	arrive_note(text, text_bytes);
	return 0;
}

/* ---- what its parts tell ---- */

static void is_lost(void *self, unsigned loss)
{
	registrar_lost(&client_of(self)->registrar, loss);
}

static int take_push(void *self, const struct wire_push *push)
{
	struct redis_client *c = client_of(self);
	int rc = c->opt.sink(c->opt.sink_self, push);

	if (rc == 0 && push->target == WIRE_KICK)
		redis_tell_kicked(c->tell, push);
	return rc;
}

static void is_fenced(void *self)
{
	struct redis_client *c = client_of(self);

	c->opt.fenced(c->opt.fenced_self);
}

/* Nobody waits for this reply any more, and nobody knows its registration: forget it. */
static void is_late(void *self, const struct wire_session *session)
{
	const struct seat seat = wire_session_seat(session);

	(void)redis_tell_add(client_of(self)->tell, WIRE_DISCONNECT, &seat);
}

static void is_written(void *self, uint64_t number)
{
	redis_lease_written(client_of(self)->lease, number);
}

/* ---- start and stop ---- */

static int start_last(struct redis_client *c)
{
	const struct redis_client_options *o = &c->opt;
	const struct redis_who_options who = {
		.cfg = o->member.cfg,
		.server_id = o->member.server_id,
		.pipe = c->pipe,
		.clock = &c->clock,
		.list = o->list,
		.list_self = o->list_self,
	};
	int rc = redis_who_start(&who, &c->who);

	return rc == 0 ? registrar_start(&c->registrar, c->lease, c->tell) : rc;
}

static int start_parts(struct redis_client *c)
{
	const struct redis_client_options *o = &c->opt;
	const struct redis_calls_owner replies = {.late = is_late, .written = is_written, .self = c};
	const struct redis_lease_owner owner = {.lost = is_lost, .fenced = is_fenced, .self = c};
	const struct redis_options redis = arrive_options(o->member.cfg, "requests");
	int rc;

	/* The lease first: it makes the stream, and tells Redis's time. */
	if ((rc = redis_watch_start(o->member.cfg, &c->watch)) < 0 || (rc = redis_pipe_start(&redis, &c->pipe)) < 0 ||
	    (rc = redis_lease_start(&o->member, c->pipe, &c->clock, &owner, &c->lease)) < 0 ||
	    (rc = redis_calls_start(o->member.cfg, o->member.server_id, c->pipe, &c->clock, &replies, &c->calls)) < 0 ||
	    (rc = redis_tell_start(o->member.cfg, c->calls, &c->tell)) < 0 ||
	    (rc = redis_pushes_start(&o->member, redis_lease_epoch(c->lease), take_push, c, &c->kicks, &c->pushes)) < 0)
		return rc;
	return start_last(c);
}

int redis_client_start(const struct redis_client_options *opt, struct redis_client **out)
{
	struct redis_client *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->magic = REDIS_CLIENT_MAGIC;
	c->opt = *opt;
	registrar_init(&c->registrar, &c->opt.member, c->opt.each_online, c->opt.each_online_self);
	/* Two tries, and as much again for threads that wait for a processor. */
	kicks_init(&c->kicks, 4 * opt->member.cfg->logic_timeout * CLOCK_MS);
	if ((rc = start_parts(c)) < 0) {
		if (rc != -ECANCELED) /* it was asked to stop */
			LOG(LOG_ERROR, log_str("server", opt->member.server_id), log_what(EVENT_START_FAILED),
			    log_str("part", "cluster"), log_str("error", err_text(rc)));
		redis_client_stop(&c);
		return rc;
	}
	*out = c;
	return 0;
}

/* Wait a moment for the last disconnects: registrations that stay behind in Redis end only with their time to live. */
static void tell_the_last(struct redis_client *c)
{
	const struct timespec moment = {.tv_nsec = 5 * CLOCK_MS};
	int64_t until = clock_now_ns() + CLOCK_SEC;

	while (redis_tell_count(c->tell) > 0 && redis_calls_has_logic(c->calls) && clock_now_ns() < until)
		(void)nanosleep(&moment, NULL);
}

void redis_client_stop(struct redis_client **client)
{
	struct redis_client *c = client_of(*client);

	if (c->tell != NULL)
		tell_the_last(c);
	registrar_stop(&c->registrar);
	if (c->who != NULL)
		redis_who_stop(&c->who);
	if (c->pushes != NULL)
		redis_pushes_stop(&c->pushes);
	/* In this order: a late reply makes a disconnect to tell, and telling needs replies. */
	if (c->calls != NULL)
		redis_calls_stop(c->calls);
	if (c->tell != NULL)
		redis_tell_stop(&c->tell);
	if (c->calls != NULL)
		redis_calls_free(&c->calls);
	if (c->lease != NULL)
		redis_lease_stop(&c->lease);
	if (c->pipe != NULL)
		redis_pipe_stop(&c->pipe);
	redis_watch_stop(&c->watch);
	kicks_fini(&c->kicks);
	registrar_fini(&c->registrar);
	c->magic = 0;
	free(c);
	*client = NULL;
}
