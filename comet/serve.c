/* serve: see serve.h. SPDX-License-Identifier: MIT */
#include "comet/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/allowance.h"
#include "comet/dispatch.h"
#include "comet/operator.h"
#include "comet/whitelist.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/peer.h"
#include "common/base/thread.h"

/* How often logic hears of a connection that sends heartbeats. */
#define RENEW_NS (60 * CLOCK_SEC)

static int handshake(struct server *s, struct connection *c);
static int read_auth(struct server *s, struct connection *c, struct packet *p);
static int authenticate(struct server *s, struct connection *c, struct packet *p);
static int take_session(struct connection *c, const struct wire_session *session);
static int put_into_bucket(struct server *s, struct connection *c, const char *room);
static int start_dispatcher(struct connection *c, struct thread **dispatcher);
static int read_packets(struct server *s, struct connection *c);
static void leave(struct server *s, struct connection *c, struct thread *dispatcher);
static void see_off(struct connection *c);
static void say_authenticated(const struct connection *c);
static void say_closed(const struct connection *c);

static void *serve(void *arg)
{
	struct connection *c = arg;
	struct server *s = c->server;
	struct thread *dispatcher = NULL;
	int rc;

	OBJ_CHECK(c, CONNECTION_MAGIC);
	rc = handshake(s, c);
	if (rc == 0 && (rc = start_dispatcher(c, &dispatcher)) == 0) {
		thread_trim_stack(); /* logic's frames were deep; the loop's are not */
		rc = read_packets(s, c);
	}
	if (rc < 0)
		(void)connection_shutdown(c, close_reason_of_read(rc));
	leave(s, c, dispatcher);
	return NULL;
}

/* ---- the door ---- */

/* Until its end the connection is in the handshake, and its deadline aborts it. */
static int handshake(struct server *s, struct connection *c)
{
	struct packet p;
	int rc;

	/* From accept on, so that the time of a transport's handshake counts, too. */
	rc = timer_add(round_timer(&s->round, c->turn), &c->deadline,
		       c->born_ns + s->cfg->protocol_handshake_timeout * CLOCK_MS);
	if (rc == 0)
		rc = read_auth(s, c, &p);
	if (rc == 0)
		rc = authenticate(s, c, &p);
	if (rc < 0)
		return rc;

	p = (struct packet){.ver = p.ver, .op = OP_AUTH_REPLY, .seq = p.seq};
	if ((rc = transport_write_packet(c->transport, &p, c->dialect, TRANSPORT_WAIT)) < 0) {
		(void)connection_shutdown(c, close_reason_of_write(rc));
		return rc;
	}
	connection_end_handshake(c);
	count_observe(COUNT_HANDSHAKE, clock_now_ns() - c->born_ns);
	trace(c, EVENT_TRACE_AUTH, NULL);
	say_authenticated(c);
	return 0;
}

/* The client comes from another comet, which had the key until here: so no push falls between the two. */
static int take_over(struct server *s, struct connection *c)
{
	int rc = logic_client_take_over(&s->logic, &c->seat);

	if (rc < 0) {
		count(COUNT_LOGIC_FAILED);
		(void)connection_shutdown(c, close_reason_of_connect(rc));
	}
	return rc;
}

/* No mailbox is in between yet. */
static int pong(struct connection *c, struct packet *p)
{
	int rc = transport_write_packet(c->transport, p, c->dialect, TRANSPORT_WAIT);

	packet_drop_body(p);
	if (rc < 0)
		(void)connection_shutdown(c, close_reason_of_write(rc));
	return rc;
}

/* Which dialect it will be is not known yet, and one of them ignores what comes before AUTH. */
static int read_auth(struct server *s, struct connection *c, struct packet *p)
{
	int64_t go_on_ns;
	int rc;

	while ((rc = transport_read(c->transport, p)) == 0 && (p->kind != PACKET_WHOLE || p->op != OP_AUTH)) {
		if (p->kind == PACKET_PING && (rc = pong(c, p)) < 0)
			break;
		go_on_ns = allowance_use(s, c, p);
		if (go_on_ns > 0 && channel_pause(&c->channel, go_on_ns) < 0)
			return -EPIPE; /* somebody has closed it, and said why */
	}
	return rc;
}

/* All who must know that it is in, after the bucket does, and before the client itself. */
static int announce(struct server *s, struct connection *c, const struct wire_session *session)
{
	admission_pass(&s->admission, &c->ticket);
	logic_client_arrived(&s->logic, &c->seat);
	if (session->room[0] != '\0')
		logic_client_join(&s->logic, session->room);
	if (!session->takes_over || connection_is_closing(c))
		return 0;
	return take_over(s, c);
}

/* Ask logic, and register what it says. The session is large and gone when this returns, so that a reader that waits for
 * packets has a small stack: hence noinline. */
__attribute__((noinline)) static int authenticate(struct server *s, struct connection *c, struct packet *p)
{
	struct wire_session session = {0};
	char peer[TRANSPORT_PEER_BYTES];
	struct wire_connect request = {.token = p->body, .token_bytes = p->body_bytes, .peer = peer};
	int64_t asked_ns = clock_now_ns();
	int rc;

	peer_text(transport_peer(c->transport), false, peer, sizeof(peer));
	request.upgrade = c->transport->upgrade;
	rc = logic_client_connect(&s->logic, &request, &session);
	upgrade_drop(&c->transport->upgrade);
	if (rc == 0 || rc == -ERR_REFUSED) /* what gave up has its own counter */
		count_observe(COUNT_AUTH, clock_now_ns() - asked_ns);
	if (rc < 0) {
		count(rc == -ERR_REFUSED ? COUNT_AUTH_REFUSED : COUNT_LOGIC_FAILED);
		if (session.refusal[0] != '\0')
			c->refusal = strdup(session.refusal); /* without memory the table's words must do */
		(void)connection_shutdown(c, close_reason_of_connect(rc));
		return rc;
	}
	if ((rc = take_session(c, &session)) == 0)
		rc = put_into_bucket(s, c, session.room);
	if (rc == 0)
		rc = announce(s, c, &session);
	if (c->seat.key == NULL) { /* no memory even to remember it by: leave() cannot tell logic */
		const struct seat seat = wire_session_seat(&session);

		logic_client_disconnect(&s->logic, &seat);
	}
	free(session.accepts);
	return rc;
}

static int take_session(struct connection *c, const struct wire_session *session)
{
	const struct seat seat = wire_session_seat(session);
	int rc;

	/* A client that speaks text is answered in text, whatever the token looks like. */
	c->dialect = transport_is_text(c->transport) ? DIALECT_V1_JSON : session->dialect;
	c->heartbeat_ns = session->heartbeat_ms * CLOCK_MS;
	c->renewed_ns = clock_now_ns();
	connection_set_lifetime(c, session->lifetime_ms);
	if ((rc = seat_copy(&seat, &c->seat)) < 0)
		return rc;
	if (whitelist_contains(&c->server->whitelist, c->seat.key))
		c->trace = &c->server->whitelist;
	if (c->dialect != DIALECT_V2) {
		channel_watch_all(&c->channel);
		return 0;
	}
	rc = channel_watch(&c->channel, session->accepts, session->n_accepts, (size_t)c->server->cfg->limits_accepts);
	if (rc == -ENOBUFS)
		(void)connection_shutdown(c, CLOSE_ACCEPTS);
	return rc;
}

/* From here on pushes find it; they wait in its mailbox until the dispatcher runs, so AUTH_REPLY goes first. */
static int put_into_bucket(struct server *s, struct connection *c, const char *room)
{
	struct connection *replaced;
	int rc = bucket_put(server_bucket(s, c->seat.key), c, room, &replaced);

	if (rc == -EEXIST) {
		count(COUNT_REPLACED);
		(void)connection_shutdown(c, CLOSE_REPLACED);
		return rc;
	}
	if (rc < 0)
		return rc;
	count(COUNT_AUTHENTICATED);
	count(COUNT_ONLINE);
	c->in_bucket = true;
	if (replaced != NULL) {
		count(COUNT_REPLACED);
		(void)connection_shutdown(replaced, CLOSE_REPLACED);
		connection_unref(&replaced);
	}
	/* A drain that listed the online connections before this one was there has set the flag before. */
	if (atomic_load(&s->admission.draining))
		(void)connection_shutdown(c, CLOSE_DRAINING);
	return 0;
}

static void say_no_thread(struct connection *c, int rc)
{
	static struct log_limit limit = LOG_LIMIT(1);
	char peer[TRANSPORT_PEER_BYTES], text[256];

	thread_limit_text(text, sizeof(text));
	LOG_LIMITED(LOG_ERROR, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_CONNECTION_WITHOUT_THREAD),
		    log_str("error", err_text(rc)), log_str("limit", text));
	(void)connection_shutdown(c, rc == -ENOMEM ? CLOSE_NO_MEMORY : CLOSE_NO_THREAD);
}

/* The baton goes from the reader, who had it for the handshake, to the dispatcher. */
static int start_dispatcher(struct connection *c, struct thread **dispatcher)
{
	int rc;

	if (channel_open(&c->channel) < 0)
		return 0; /* closed meanwhile, for example by a kick: read_packets finds that out at once */
	if ((rc = thread_spawn(THREAD_CONNECTION, "dispatcher", dispatch, c, dispatcher)) < 0)
		say_no_thread(c, rc);
	return rc;
}

/* ---- the loop ---- */

/* comet_packets_in_total goes by the ops of the table, in its order; those that are not ours come last. */
static const int32_t ops[] = {
#define op(NAME, number, from, dialects, words) (number),
#include "common/wire/ops.def"
#undef op
};
#define N_OPS (sizeof(ops) / sizeof(ops[0]))

static const char *const op_names[N_OPS + 1] = {
#define op(NAME, number, from, dialects, words) (words),
#include "common/wire/ops.def"
#undef op
	"application",
};

COUNTER_LABELS(PACKETS_IN, op_names, N_OPS + 1);

static void count_packet(int32_t op)
{
	unsigned i = 0;

	while (i < N_OPS && ops[i] != op)
		i++;
	count_by(COUNT_PACKETS_IN, i);
}

/* Tell logic now and then that it is still here. This does not wait for logic, so heartbeats are answered without it. */
static void renew(struct server *s, struct connection *c)
{
	int64_t now = clock_now_ns();

	if (now - c->renewed_ns < RENEW_NS)
		return;
	c->renewed_ns = now;
	if (logic_client_heartbeat(&s->logic, &c->seat) < 0)
		count(COUNT_LOGIC_FAILED);
}

static int answer(struct server *s, struct connection *c, struct packet *p)
{
	if (p->kind != PACKET_WHOLE)
		return 0; /* a pong is the ping */
	count_packet(p->op);
	if (p->op != OP_HEARTBEAT)
		return operate(s, c, p);
	connection_heard(c);
	renew(s, c);
	return operate_heartbeat(c, p);
}

/* Read nothing until then. Its heartbeats wait behind what it has sent, and it may have sent a lot. -EPIPE: closed meanwhile. */
static int hold_back(struct connection *c, int64_t go_on_ns)
{
	connection_excuse(c, go_on_ns - clock_now_ns() + c->heartbeat_ns);
	return channel_pause(&c->channel, go_on_ns);
}

/* Ends with the error that ended it, or with 0 when somebody else has closed the channel. */
static int read_packets(struct server *s, struct connection *c)
{
	struct channel *ch = &c->channel;
	int64_t go_on_ns;
	struct packet *p;
	int rc;

	for (;;) {
		if (channel_ring_set(ch, &p) < 0)
			return 0;
		trace(c, EVENT_TRACE_READ_BEGIN, NULL);
		if ((rc = transport_read(c->transport, p)) < 0)
			return rc;
		trace(c, EVENT_TRACE_READ_END, p);
		go_on_ns = allowance_use(s, c, p);
		if ((rc = answer(s, c, p)) < 0)
			return rc;
		trace(c, EVENT_TRACE_PROCESSED, p);
		/* Packets that the client sent at once are answered at once: one wake-up, one write. */
		if (((p->kind != PACKET_NOTHING && channel_ring_set_adv(ch)) || go_on_ns > 0 ||
		     !transport_has_packet(c->transport)) &&
		    channel_signal(ch))
			dispatch_now(c);
		trace(c, EVENT_TRACE_SIGNALLED, NULL);
		if (go_on_ns > 0 && hold_back(c, go_on_ns) < 0)
			return 0;
	}
}

/* ---- the end ---- */

/* Has something been said to it that it should have the time to read? */
static bool is_to_be_seen_off(const struct connection *c, enum close_reason why)
{
	bool gone = why == CLOSE_CLIENT_LEFT || why == CLOSE_CLIENT_CUT;

	return (close_reason_code(why) != 0 || (transport_says_goodbye(c->transport) && !gone)) &&
	       c->deadline.timer != NULL;
}

static void leave(struct server *s, struct connection *c, struct thread *dispatcher)
{
	enum close_reason why = atomic_load(&c->reason);

	if (c->in_bucket) {
		(void)bucket_del(server_bucket(s, c->seat.key), c);
		count_add(COUNT_ONLINE, -1);
	}
	if (c->seat.key != NULL)
		logic_client_disconnect(&s->logic, &c->seat);
	/* A peer that has gone takes no goodbye: the dispatcher's write must not wait for it. */
	if (why == CLOSE_CLIENT_CUT || (why == CLOSE_CLIENT_LEFT && !transport_says_goodbye(c->transport)))
		transport_shutdown(c->transport);
	else if (dispatcher == NULL)
		connection_say_goodbye(c, TRANSPORT_WAIT);
	if (is_to_be_seen_off(c, why))
		see_off(c);
	if (dispatcher != NULL)
		thread_join(&dispatcher);
	timer_del(&c->deadline);
	transport_shutdown(c->transport);
	count_by(COUNT_CLOSED, why);
	say_closed(c);
	server_leave(s, c);
	connection_unref(&c);
}

/* Read and forget until the peer has closed, too. Were the descriptor closed with unread bytes in it, the kernel would
 * send a reset, and the goodbye could be lost on its way. The deadline bounds it; without memory for one, nobody waits. */
static void see_off(struct connection *c)
{
	struct packet p;

	while (transport_read(c->transport, &p) == 0)
		packet_drop_body(&p);
}

/* A connection is conn in the lines of its comet, and key and session in those of logic: this line joins them. */
static void say_authenticated(const struct connection *c)
{
	char peer[TRANSPORT_PEER_BYTES];

	LOG(LOG_DEBUG, CONNECTION_FIELDS(c, peer), log_what(EVENT_CONNECTION_AUTHENTICATED),
	    log_id("session", c->seat.session_id), log_i64("mid", c->seat.mid),
	    log_str("over", c->transport->ops->name));
}

static void say_closed(const struct connection *c)
{
	static struct log_limit limit = LOG_LIMIT(20);
	enum close_reason why = atomic_load(&c->reason);
	enum log_level level = close_reason_is_error(why) ? LOG_WARN : LOG_DEBUG;
	char peer[TRANSPORT_PEER_BYTES];
	int64_t age_s = (clock_now_ns() - c->born_ns) / CLOCK_SEC;

	trace(c, EVENT_TRACE_CLOSED, NULL);
	if (level == LOG_WARN)
		LOG_LIMITED(level, &limit, CONNECTION_FIELDS(c, peer), log_what(EVENT_CONNECTION_CLOSED),
			    log_str("reason", close_reason_name(why)), log_str_if("words", c->refusal),
			    log_i64("age_s", age_s));
	else
		LOG(level, CONNECTION_FIELDS(c, peer), log_what(EVENT_CONNECTION_CLOSED),
		    log_str("reason", close_reason_name(why)), log_str_if("words", c->refusal),
		    log_i64("age_s", age_s));
}

/* ---- the start ---- */

static void forget(struct connection *c)
{
	count_by(COUNT_CLOSED, atomic_load(&c->reason));
	say_closed(c);
	server_leave(c->server, c);
	connection_unref(&c);
}

int serve_start(struct server *s, struct connection *c)
{
	int rc;

	c->server = s;
	server_enter(s, c);
	if ((rc = thread_spawn_unjoined(THREAD_CONNECTION, "reader", serve, c)) == 0)
		return 0;
	say_no_thread(c, rc);
	/* This thread lets others in: it does not wait for one who has not even begun a TLS handshake. */
	connection_say_goodbye(c, TRANSPORT_NOW);
	forget(c);
	return rc;
}
