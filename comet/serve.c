/* serve: see serve.h. SPDX-License-Identifier: MIT */
#include "comet/serve.h"

#include <errno.h>
#include <stddef.h>

#include "comet/allowance.h"
#include "comet/arrival.h"
#include "comet/dispatch.h"
#include "comet/errand.h"
#include "comet/fence.h"
#include "comet/joins.h"
#include "comet/milestones.h"
#include "comet/operator.h"
#include "comet/own_stream.h"
#include "comet/reader.h"
#include "comet/whitelist.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/thread.h"
#include "common/tls/tls.h"

/* How often logic hears of a connection that sends heartbeats. */
#define RENEW_NS (60 * CLOCK_SEC)

static int handshake(struct server *s, struct connection *c);
static int read_auth(struct server *s, struct connection *c, struct packet **p);
static int reply(struct connection *c, const struct packet *p, const struct join_outcome *own);
static int start_dispatcher(struct connection *c);
static int read_packets(struct server *s, struct connection *c);
static void end_of_read(struct connection *c, int rc);
static void say_why(struct server *s, struct connection *c);
static int see_off(struct connection *c);
static void leave(struct server *s, struct connection *c);

/* From where it stands: a parked connection comes back to its stage. READER_PARKED from whichever step: c is not ours any more. */
static int serve(struct server *s, struct connection *c)
{
	int rc = 0;

	if (c->stage == READER_HANDSHAKE && (rc = handshake(s, c)) == 0)
		rc = start_dispatcher(c);
	if (rc == 0 && c->stage == READER_PACKETS) /* in this order: it may be parked */
		rc = read_packets(s, c);
	if (rc == READER_PARKED)
		return rc;
	if (c->stage <= READER_PACKETS) {
		if (rc < 0)
			end_of_read(c, rc);
		say_why(s, c);
	}
	if (c->stage == READER_SEES_OFF && (rc = see_off(c)) == READER_PARKED)
		return rc;
	if ((rc = reader_join(c)) == READER_PARKED)
		return rc;
	leave(s, c);
	return 0;
}

/* ---- the door ---- */

/* Until its end the connection is in the handshake, and its deadline aborts it. */
static int handshake(struct server *s, struct connection *c)
{
	struct join_outcome own = {0};
	struct packet *p;
	int rc = read_auth(s, c, &p);

	if (rc == 0 && (rc = reader_block(c, s->logic.waits_to_ask)) == 0) {
		if ((rc = arrive(s, c, p, &own)) == 0)
			rc = reply(c, p, &own);
		reader_unblock(c, s->logic.waits_to_ask);
	}
	if (rc != 0)
		return rc;
	connection_end_handshake(c);
	count_observe(COUNT_HANDSHAKE, clock_now_ns() - c->born_ns);
	trace(c, EVENT_TRACE_AUTH, NULL);
	milestones_say_authenticated(c);
	return 0;
}

/* No mailbox is in between yet. A parked connection's first bytes go at once, or its peer reads nothing: nobody waits for that. */
static int write_now(struct connection *c, struct packet *p)
{
	int rc = transport_write_packet(c->transport, p, c->dialect, reader_parks(c) ? TRANSPORT_NOW : TRANSPORT_WAIT);

	if (rc == -EAGAIN)
		rc = -ETIMEDOUT;
	if (rc < 0)
		(void)connection_shutdown(c, close_reason_of_write(rc));
	return rc;
}

static int reply(struct connection *c, const struct packet *p, const struct join_outcome *own)
{
	const bool has_own = joins_has_own(c->joins);
	struct packet answer = {.ver = p->ver, .op = OP_AUTH_REPLY, .seq = p->seq};
	char body[JOIN_WELCOME_BYTES];
	int rc;

	/* So the client knows that the server has streams, and how much it may ask for. */
	if (c->joins != NULL) {
		answer.ver = 1;
		answer.body = (uint8_t *)body;
		answer.body_bytes = (uint32_t)join_welcome(body, c->server->cfg, has_own ? own : NULL);
	}
	if ((rc = write_now(c, &answer)) == 0 && has_own)
		own_stream_begin(c, own);
	return rc;
}

static int pong(struct connection *c, struct packet *p)
{
	int rc = write_now(c, p);

	packet_drop_body(p);
	return rc;
}

/* Which dialect it will be is not known yet, and one of them ignores what comes before AUTH. */
static int read_auth(struct server *s, struct connection *c, struct packet **p)
{
	int rc;

	for (;;) {
		if ((rc = reader_hold_back(c)) != 0 || (rc = reader_wait_for_slot(c, p)) != 0 || c->in_hand)
			return rc; /* -EPIPE: somebody has closed it, and said why */
		if ((rc = transport_read(c->transport, *p)) == -EAGAIN)
			return reader_wait_for_bytes(c);
		if (rc < 0 || ((*p)->kind == PACKET_WHOLE && (*p)->op == OP_AUTH))
			return rc;
		if ((*p)->kind == PACKET_PING && (rc = pong(c, *p)) < 0)
			return rc;
		c->held_until_ns = allowance_use(s, c, *p);
	}
}

/* The baton goes from the reader, who had it for the handshake, to the dispatcher. A parked connection has one only where it is
 * needed: the reader writes what came meanwhile. */
static int start_dispatcher(struct connection *c)
{
	int rc = 0;

	if (reader_parks(c)) {
		c->stage = READER_PACKETS;
		dispatch_now(c);
		return 0;
	}
	if (channel_open(&c->channel) < 0)
		return 0; /* closed meanwhile, for example by a kick: the baton stays ours, for the goodbye */
	if ((rc = dispatch_start(c)) == 0)
		c->stage = READER_PACKETS;
	else
		dispatch_say_no_thread(c, rc);
	thread_trim_stack(); /* logic's frames were deep; the loop's are not */
	return rc;
}

/* ---- the loop ---- */

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
	bool waits = errand_waits(s, c, p);
	int rc;

	if (p->kind != PACKET_WHOLE)
		return 0; /* a pong is the ping */
	if (errand_is_join(c, p) && (rc = reader_wait_for_queue(c, true)) != 0)
		return rc;
	if ((rc = reader_block(c, waits)) != 0)
		return rc;
	errand_count(c, p->op);
	fence_end_pass(s, c);
	if ((rc = joins_end_passes(s, c)) != 0) {
		reader_unblock(c, waits);
		return rc;
	}
	if (c->joins != NULL)
		p->ver = 1; /* a push has 4 */
	if (p->op != OP_HEARTBEAT) {
		rc = operate(s, c, p);
		reader_unblock(c, waits);
		return rc;
	}
	connection_heard(c);
	renew(s, c);
	return operate_heartbeat(s, c, p);
}

/* Packets that the client sent at once are answered at once: one wake-up, one write. */
static void hand_on(struct connection *c, const struct packet *p)
{
	bool full = p->kind != PACKET_NOTHING && channel_ring_set_adv(&c->channel);

	if ((full || c->held_until_ns > 0 || !transport_has_packet(c->transport)) && channel_signal(&c->channel))
		dispatch_now(c);
	trace(c, EVENT_TRACE_SIGNALLED, NULL);
}

/* A connection that is parked has its turn for so many packets: others wait for the thread. */
#define TURN_PACKETS 64

static int yield(struct connection *c)
{
	if (channel_signal(&c->channel))
		dispatch_now(c);
	return reader_yield(c);
}

/* The next packet, in the ring's slot, or the one in hand. */
static int read_packet(struct server *s, struct connection *c, struct packet **p)
{
	int rc;

	if ((rc = reader_hold_back(c)) != 0 || (rc = joins_replay(s, c)) != 0 ||
	    (rc = reader_wait_for_slot(c, p)) != 0 || c->in_hand)
		return rc;
	trace(c, EVENT_TRACE_READ_BEGIN, NULL);
	if ((rc = transport_read(c->transport, *p)) == -EAGAIN)
		return reader_wait_for_bytes(c);
	if (rc < 0)
		return rc;
	trace(c, EVENT_TRACE_READ_END, *p);
	reader_hold_until(c, allowance_use(s, c, *p));
	return 0;
}

/* Ends with the error that ended it, or with 0 when somebody else has closed the channel. */
static int read_packets(struct server *s, struct connection *c)
{
	struct packet *p;
	int rc;

	for (unsigned turn = 0;; turn++) {
		if (turn == TURN_PACKETS && reader_parks(c))
			return yield(c);
		if ((rc = read_packet(s, c, &p)) == 0 && (rc = answer(s, c, p)) == 0) {
			trace(c, EVENT_TRACE_PROCESSED, p);
			hand_on(c, p);
			continue;
		}
		return rc;
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

static void end_of_read(struct connection *c, int rc)
{
	if (rc == -ERR_TOKEN)
		connection_explain(c, "the token is longer than 16 KiB");
	if (rc == -ERR_CERTIFICATE)
		connection_explain(c, tls_peer_fault(transport_tls(c->transport)));
	(void)connection_shutdown(c, close_reason_of_read(rc));
}

/* Nobody finds it any more, and the client is told, if it can be. */
static void say_why(struct server *s, struct connection *c)
{
	enum close_reason why = atomic_load(&c->reason);

	if (c->in_bucket) {
		milestones_keep_room(s, c, why);
		joins_leave_all(s, c);
		own_stream_leave(s, c);
		(void)bucket_del(server_bucket(s, c->seat.key), c);
		count_add(COUNT_ONLINE, -1);
	}
	if (c->seat.key != NULL)
		logic_client_disconnect(&s->logic, &c->seat);
	/* A peer that has gone takes no goodbye: the dispatcher's write must not wait for it. */
	if (why == CLOSE_CLIENT_CUT || (why == CLOSE_CLIENT_LEFT && !transport_says_goodbye(c->transport)))
		transport_shutdown(c->transport);
	if (c->stage == READER_HANDSHAKE) {
		/* The baton is still ours. Who takes not even a goodbye is not waited for. */
		if (connection_say_goodbye(c, reader_parks(c) ? TRANSPORT_NOW : TRANSPORT_WAIT) == -EAGAIN)
			transport_shutdown(c->transport);
		channel_end(&c->channel);
	}
	c->stage = is_to_be_seen_off(c, why) ? READER_SEES_OFF : READER_JOINS;
}

/* As much as the buffers of both sockets hold: what was on its way when the goodbye was said. Whoever sends more floods. */
#define SEEN_OFF_BYTES (16u << 20)

/* Read and forget until the peer has closed, too. Were the descriptor closed with unread bytes in it, the kernel would
 * send a reset, and the goodbye could be lost on its way. The deadline bounds it; without memory for one, nobody waits. */
static int see_off(struct connection *c)
{
	struct packet p;
	int rc = 0;

	for (unsigned turn = 1; c->seen_off_bytes < SEEN_OFF_BYTES && (rc = transport_read(c->transport, &p)) == 0;
	     turn++) {
		c->seen_off_bytes += transport_taken(c->transport, &p);
		packet_drop_body(&p);
		if (turn == TURN_PACKETS && reader_parks(c))
			return reader_yield(c);
	}
	if (rc == -EAGAIN && (rc = reader_wait_for_bytes(c)) == READER_PARKED)
		return rc;
	c->stage = READER_JOINS;
	return 0;
}

static void leave(struct server *s, struct connection *c)
{
	timer_del(&c->deadline);
	reader_leaves(c);
	transport_shutdown(c->transport);
	count_by(COUNT_CLOSED, atomic_load(&c->reason));
	milestones_say_closed(c);
	server_leave(s, c);
	connection_unref(&c);
}

/* ---- the start ---- */

/* The reader's thread, without parking. */
static void *run(void *arg)
{
	struct connection *c = arg;

	OBJ_CHECK(c, CONNECTION_MAGIC);
	(void)serve(c->server, c);
	return NULL;
}

/* The thread of a parked connection, once it has something to do. */
static void resume(struct parked *parked)
{
	struct connection *c = OBJ_OF(parked, struct connection, parked);

	OBJ_CHECK(c, CONNECTION_MAGIC);
	reader_resumed();
	(void)serve(c->server, c);
}

int serve_park(struct server *s)
{
	return reader_start_park(s, resume);
}

/* From accept on, so that the time of a transport's handshake counts, too. */
static int start(struct server *s, struct connection *c)
{
	int rc = connection_begin_handshake(c, round_timer(&s->round, c->turn),
					    c->born_ns + s->cfg->protocol_handshake_timeout * CLOCK_MS);

	if (rc < 0)
		return rc;
	/* A client that says nothing costs no thread. */
	if (reader_parks(c))
		return reader_wait_for_bytes(c);
	return thread_spawn_unjoined(THREAD_CONNECTION, "reader", run, c);
}

int serve_start(struct server *s, struct connection *c)
{
	int rc;

	c->server = s;
	server_enter(s, c);
	if ((rc = start(s, c)) >= 0)
		return 0;
	dispatch_say_no_thread(c, rc);
	/* This thread lets others in: it does not wait for one who has not even begun a TLS handshake. */
	(void)connection_say_goodbye(c, TRANSPORT_NOW);
	channel_end(&c->channel);
	leave(s, c);
	return rc;
}
