/* stage: see stage.h. SPDX-License-Identifier: MIT */
#include "tests/unit/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/reader.h"
#include "comet/serve.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/thread.h"
#include "tests/unit/until.h"

static void lock(struct stage_logic *l)
{
	BUG_UNLESS(pthread_mutex_lock(&l->mutex) == 0);
}

static void unlock(struct stage_logic *l)
{
	(void)pthread_cond_broadcast(&l->changed);
	BUG_UNLESS(pthread_mutex_unlock(&l->mutex) == 0);
}

/* ---- logic ---- */

/* Out of reach of the seams, which fail the house's allocations and not the test's. */
static int32_t *copy_of(const int32_t *accepts, size_t n)
{
	int32_t *copy = aligned_alloc(sizeof(*copy), n * sizeof(*copy));

	BUG_UNLESS(copy != NULL);
	memcpy(copy, accepts, n * sizeof(*copy));
	return copy;
}

static int logic_connect(void *self, const struct wire_connect *request, struct wire_session *session)
{
	struct stage_logic *l = self;
	int rc;

	lock(l);
	(void)snprintf(l->token, sizeof(l->token), "%.*s", (int)request->token_bytes, (const char *)request->token);
	(void)snprintf(l->peer, sizeof(l->peer), "%s", request->peer);
	atomic_fetch_add(&l->connects, 1);
	(void)pthread_cond_broadcast(&l->changed);
	while (l->held)
		(void)pthread_cond_wait(&l->changed, &l->mutex);
	if (l->counts_sessions)
		l->session.id++;
	*session = l->session;
	session->accepts = NULL;
	rc = l->connect_rc;
	if (rc == 0 && l->session.n_accepts > 0)
		session->accepts = copy_of(l->session.accepts, l->session.n_accepts);
	unlock(l);
	return rc;
}

static int logic_permit(void *self, const struct wire_connect *request, const struct seat *seat,
			const struct wire_room_count *rooms, size_t n, struct grants **grants)
{
	struct stage_logic *l = self;

	(void)request;
	(void)seat;
	*grants = NULL;
	for (size_t i = 0; i < n && l->permit_rc == 0; i++)
		if (strncmp(rooms[i].room, "vip", 3) == 0)
			(void)grants_add_pass(grants, rooms[i].room, 60000);
	return l->permit_rc;
}

static int logic_reauth(void *self, const struct wire_connect *request, const struct seat *seat,
			struct wire_renewal *renewal)
{
	struct stage_logic *l = self;

	lock(l);
	(void)snprintf(l->token, sizeof(l->token), "%.*s", (int)request->token_bytes, (const char *)request->token);
	(void)snprintf(l->peer, sizeof(l->peer), "%s", request->peer);
	(void)snprintf(l->reauth_key, sizeof(l->reauth_key), "%s", seat->key);
	*renewal = l->renewal;
	unlock(l);
	atomic_fetch_add(&l->reauths, 1);
	return l->reauth_rc;
}

static void logic_arrived(void *self, const struct seat *seat)
{
	struct stage_logic *l = self;

	(void)seat;
	atomic_fetch_add(&l->arrived, 1);
}

static void logic_join(void *self, const char *const *rooms, size_t n)
{
	struct stage_logic *l = self;

	lock(l);
	(void)snprintf(l->joined_room, sizeof(l->joined_room), "%s", rooms[n - 1]);
	unlock(l);
	atomic_fetch_add(&l->joined, 1);
}

static void logic_disconnect(void *self, const struct seat *seat)
{
	struct stage_logic *l = self;

	lock(l);
	(void)snprintf(l->disconnected, sizeof(l->disconnected), "%s", seat->key);
	l->disconnected_session = seat->session_id;
	unlock(l);
	atomic_fetch_add(&l->disconnects, 1);
}

static int logic_heartbeat(void *self, const struct seat *seat)
{
	struct stage_logic *l = self;

	(void)seat;
	atomic_fetch_add(&l->heartbeats, 1);
	return l->heartbeat_rc;
}

static int logic_renew_online(void *self, const struct wire_load *load, const struct wire_room_count *rooms, size_t n,
			      void (*each)(void *arg, const char *room, int64_t count), void *arg)
{
	struct stage_logic *l = self;
	int64_t told;

	lock(l);
	l->load = *load;
	l->n_rooms = n;
	if (n > 0) {
		(void)snprintf(l->room, sizeof(l->room), "%s", rooms[0].room);
		l->room_count = rooms[0].count;
	}
	told = l->told_count;
	unlock(l);
	for (size_t i = 0; told > 0 && i < n; i++)
		each(arg, rooms[i].room, told);
	atomic_fetch_add(&l->renewed, 1);
	return l->renew_rc;
}

static int logic_receive(void *self, const struct seat *seat, const struct packet *p)
{
	struct stage_logic *l = self;

	(void)seat;
	lock(l);
	l->received_op = p->op;
	(void)snprintf(l->received_body, sizeof(l->received_body), "%.*s", (int)p->body_bytes,
		       p->body != NULL ? (const char *)p->body : "");
	unlock(l);
	atomic_fetch_add(&l->received, 1);
	return l->receive_rc;
}

void stage_hold_connects(struct stage *s, bool held)
{
	lock(&s->logic);
	s->logic.held = held;
	unlock(&s->logic);
}

/* ---- up and down ---- */

void stage_set(struct stage *s)
{
	memset(s, 0, sizeof(*s));
	/* What is refused and closed is told by counters; its lines would drown the test's own. */
	log_setup(LOG_ERROR, LOG_TEXT);
	assert_int_equal(config_init(&s->cfg), 0);
	s->cfg.bucket_size = 4;
	s->cfg.protocol_svr_proto = 8;
	s->cfg.protocol_cli_proto = 4;
	s->cfg.protocol_handshake_timeout = 60000;
	s->cfg.protocol_write_timeout = 60000;
	s->cfg.limits_connections = 100;
}

void stage_up(struct stage *s)
{
	struct stage_logic *l = &s->logic;

	assert_int_equal(server_init(&s->server, &s->cfg, 1), 0);
	BUG_UNLESS(pthread_mutex_init(&l->mutex, NULL) == 0);
	BUG_UNLESS(pthread_cond_init(&l->changed, NULL) == 0);
	l->session =
		(struct wire_session){.id = 1, .mid = 7, .dialect = DIALECT_V2, .heartbeat_ms = 60000, .key = "key"};
	s->server.logic = (struct logic_client){
		.connect = logic_connect,
		.reauth = logic_reauth,
		.permit = logic_permit,
		.arrived = logic_arrived,
		.disconnect = logic_disconnect,
		.heartbeat = logic_heartbeat,
		.renew_online = logic_renew_online,
		.join = logic_join,
		.receive = logic_receive,
		.waits_to_ask = true,
		.waits_to_tell = true,
		.self = l,
	};
	if (s->parks)
		assert_int_equal(serve_park(&s->server), 0);
}

void stage_down(struct stage *s)
{
	reader_stop_park(&s->server);
	until(thread_reap() == 0);
	thread_fini();
	server_fini(&s->server);
	config_fini(&s->cfg);
	(void)pthread_cond_destroy(&s->logic.changed);
	(void)pthread_mutex_destroy(&s->logic.mutex);
}

/* ---- who is on it ---- */

struct connection *stage_member(struct stage *s, struct fake_transport *f, const char *key, const char *room)
{
	struct connection *c = fake_connection(f, key, 1, &s->server.connection.channel), *replaced;
	struct haul h;

	c->server = &s->server;
	assert_int_equal(bucket_put(server_bucket(&s->server, key), c, room, &replaced), 0);
	assert_null(replaced);
	assert_false(channel_take(&c->channel, &h));
	channel_done_and_release(&c->channel, &h, false);
	return c;
}

void stage_leave(struct stage *s, struct connection **c)
{
	(void)bucket_del(server_bucket(&s->server, (*c)->seat.key), *c);
	connection_abort(*c, CLOSE_CLIENT_LEFT);
	connection_unref(c);
}

struct connection *stage_guest(struct stage *s, struct fake_transport *f)
{
	struct connection *c;

	f->parks = s->parks;
	assert_int_equal(connection_new(&f->base, &s->server.connection, &c), 0);
	assert_int_equal(admission_enter(&s->server.admission, &f->peer.any, false, &c->ticket), CLOSE_NONE);
	return c;
}
