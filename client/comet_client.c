/* comet_client: see comet_client.h. It is client/client for other programs: it sends heartbeats by itself, tells answers from
 * pushes, and takes times that begin now. SPDX-License-Identifier: MIT */
#include "client/comet_client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/backlog.h"
#include "client/backoff.h"
#include "client/client.h"
#include "client/client_library.h"
#include "client/client_rooms.h"
#include "common/base/clock.h"
#include "common/base/err.h"

#define TIMEOUT_MS   10000
#define HEARTBEAT_MS 30000
#define OPS_MAX      256 /* as many as a connection may accept */
#define OP_CHARS     12  /* "-2147483648," */

struct comet_client {
	struct client *client;
	struct client_rooms *rooms; /* the caller's, or NULL */
	unsigned connection;        /* among those of the rooms */
	int64_t timeout_ns, heartbeat_ns;
	int32_t seq;
	int64_t next_beat_ns;
	int32_t beat_seq; /* of the heartbeat whose answer is due; 0: none is */
	int64_t beat_deadline_ns;
	uint64_t beat_received; /* at the last look */
	int32_t people;         /* in the room, by the last answer */
	bool is_broken;         /* only to be closed */
	struct client_goodbye goodbye;
	struct backlog kept;  /* pushes that came while an answer was waited for */
	struct packet handed; /* a kept push whose body the caller reads until its next call */
};

/* Codes of ours as errno, which is all that other programs know. */
static int public_code(int rc)
{
	switch (rc) {
	case -ERR_EOF:
	case -ERR_CUT:
	case -ERR_REFUSED:
		return -ECONNABORTED;
	case -ERR_TLS:
	case -ERR_PACKET_LENGTH:
	case -ERR_PACKET_HEADER:
	case -ERR_PACKET_BODY:
		return -EPROTO;
	default:
		return rc;
	}
}

static int64_t in_ms(int ms)
{
	return clock_now_ns() + (ms > 0 ? ms : 0) * CLOCK_MS;
}

static int32_t next_seq(struct comet_client *c)
{
	c->seq = c->seq < INT32_MAX ? c->seq + 1 : 1;
	return c->seq;
}

/* ---- packets ---- */

/* A push to a client with streams may have any operation and sequence number. */
static bool is_push(const struct comet_client *c, const struct packet *p)
{
	return c->rooms != NULL && p->ver == PACKET_VER_PUSH;
}

/* One packet, by a deadline of our own. -ETIME: half of it is written perhaps, and nothing may follow that; -ETIMEDOUT would say that the
 * client may be used on. */
static int send_packet(struct comet_client *c, int32_t op, int32_t seq, const void *body, uint32_t body_bytes)
{
	const int rc = client_send(c->client, 1, op, seq, body, body_bytes, clock_now_ns() + c->timeout_ns);

	c->is_broken |= rc < 0;
	return rc == -ETIMEDOUT ? -ETIME : rc;
}

static int send_heartbeat(struct comet_client *c)
{
	int64_t now = clock_now_ns();

	c->beat_seq = next_seq(c);
	c->beat_deadline_ns = now + c->timeout_ns;
	c->beat_received = client_received(c->client);
	c->next_beat_ns = now + c->heartbeat_ns;
	return send_packet(c, OP_HEARTBEAT, c->beat_seq, NULL, 0);
}

/* The deadline, or the time at which a heartbeat is due or unanswered for too long, if that is earlier. */
static int64_t next_wake_ns(const struct comet_client *c, int64_t deadline_ns)
{
	int64_t own_ns = c->beat_seq != 0 ? c->beat_deadline_ns : c->next_beat_ns;

	return own_ns < deadline_ns ? own_ns : deadline_ns;
}

static int send_due_heartbeat(struct comet_client *c)
{
	return c->beat_seq == 0 && clock_now_ns() >= c->next_beat_ns ? send_heartbeat(c) : 0;
}

/* Only for when nothing is left to be read: a caller that was away for long finds the answer among what has come meanwhile. */
static int look_after_heartbeats(struct comet_client *c)
{
	const uint64_t received = client_received(c->client);

	if (c->beat_seq != 0 && clock_now_ns() >= c->beat_deadline_ns) {
		if (received == c->beat_received)
			return -ETIME;
		/* A server replays what was missed before it reads the next packet, and a long push over a slow line takes its time. */
		c->beat_received = received;
		c->beat_deadline_ns = clock_now_ns() + c->timeout_ns;
	}
	return send_due_heartbeat(c);
}

/* The next packet. -ETIMEDOUT: none by the deadline. -ERR_REFUSED: it was a goodbye. */
static int read_any(struct comet_client *c, int64_t deadline_ns, struct packet *p)
{
	int rc = client_read(c->client, next_wake_ns(c, deadline_ns), p);

	while (rc == -ETIMEDOUT && (rc = look_after_heartbeats(c)) == 0) {
		if (clock_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		rc = client_read(c->client, next_wake_ns(c, deadline_ns), p);
	}
	if (rc == 0 && p->op == OP_DISCONNECT && !is_push(c, p)) {
		client_read_goodbye(p, &c->goodbye);
		rc = -ERR_REFUSED;
	}
	c->is_broken |= rc < 0 && rc != -ETIMEDOUT;
	return rc;
}

/* Take the answer to our heartbeat; false for any other packet. */
static bool take_beat(struct comet_client *c, const struct packet *p)
{
	if (c->beat_seq == 0 || p->op != OP_HEARTBEAT_REPLY || p->seq != c->beat_seq || is_push(c, p))
		return false;
	c->beat_seq = 0;
	c->people = p->body_bytes == 4 ? packet_get_i32(p->body) : 0;
	return true;
}

/* The same as read_any, without answers to heartbeats. */
static int read_packet(struct comet_client *c, int64_t deadline_ns, struct packet *p)
{
	int rc;

	do
		rc = read_any(c, deadline_ns, p);
	while (rc == 0 && take_beat(c, p));
	return rc;
}

/* Send one packet and wait for its answer; pushes that come before it are kept. -EAGAIN: the server sent the operation itself
 * back instead, by which it says no. */
static int ask(struct comet_client *c, int32_t op, int32_t answer, const void *body, size_t body_bytes)
{
	int64_t deadline_ns = clock_now_ns() + c->timeout_ns;
	int32_t seq = next_seq(c);
	struct packet p;
	int rc;

	if (body_bytes > INT32_MAX - PACKET_HEAD_BYTES)
		return -EMSGSIZE;
	rc = send_packet(c, op, seq, body, (uint32_t)body_bytes);
	while (rc == 0 && (rc = read_packet(c, deadline_ns, &p)) == 0) {
		if (p.op == answer && p.seq == seq && !is_push(c, &p))
			return 0;
		if (p.op == op && p.seq == seq && !is_push(c, &p))
			return -EAGAIN;
		rc = backlog_put(&c->kept, &p);
	}
	return rc == -ETIMEDOUT ? -ETIME : public_code(rc);
}

_Static_assert((int)COMET_CLIENT_PUSH == CLIENT_PUSH && (int)COMET_CLIENT_JOINED == CLIENT_JOINED &&
		       (int)COMET_CLIENT_GAP == CLIENT_GAP && (int)COMET_CLIENT_LEFT == CLIENT_LEFT,
	       "events have one number inside and outside");

/* ---- open and close ---- */

static int authenticate(struct comet_client *c, const struct comet_client_options *opt, int64_t deadline_ns)
{
	static const int32_t usual[] = {1000};
	struct client_identity identity = {
		.dialect = DIALECT_V2,
		.mid = opt->mid,
		.key = opt->key,
		.room = opt->room,
		.platform = "c",
		.accepts = opt->accepts != NULL ? opt->accepts : usual,
		.n_accepts = opt->accepts != NULL ? opt->n_accepts : 1,
		.streams = opt->rooms != NULL,
		.user_since = opt->rooms != NULL ? comet_client_rooms_position(opt->rooms, "") : 0,
		.user_unacked = opt->rooms != NULL && client_rooms_unacked((struct client_rooms *)opt->rooms),
	};
	char *made = NULL;
	int rc = opt->token == NULL ? client_token(&identity, &made) : 0;

	if (rc == 0)
		rc = client_authenticate(c->client, DIALECT_V2, opt->token != NULL ? opt->token : made, deadline_ns,
					 &c->goodbye);
	free(made);
	return rc;
}

int client_library_open(const struct comet_client_options *opt, struct client_options *to, struct comet_client **out,
			struct comet_client_goodbye *goodbye)
{
	struct comet_client *c = calloc(1, sizeof(*c));
	int64_t deadline_ns;
	int rc;

	*goodbye = (struct comet_client_goodbye){0};
	if (c == NULL)
		return -ENOMEM;
	c->seq = 1; /* of AUTH */
	c->timeout_ns = (opt->timeout_ms > 0 ? opt->timeout_ms : TIMEOUT_MS) * CLOCK_MS;
	c->heartbeat_ns = (opt->heartbeat_ms > 0 ? opt->heartbeat_ms : HEARTBEAT_MS) * CLOCK_MS;
	deadline_ns = clock_now_ns() + c->timeout_ns;
	to->cancel_fd = -1;
	to->why = c->goodbye.reason;
	if ((rc = client_connect(to, deadline_ns, &c->client)) == 0)
		rc = authenticate(c, opt, deadline_ns);
	if (rc < 0) {
		comet_client_last_words(c, goodbye);
		comet_client_close(&c);
		return public_code(rc);
	}
	c->next_beat_ns = clock_now_ns() + c->heartbeat_ns;
	if ((c->rooms = (struct client_rooms *)opt->rooms) != NULL) {
		const struct client_welcome welcome = client_welcome(c->client);

		c->connection = client_rooms_begin(c->rooms, &welcome);
	}
	*out = c;
	return 0;
}

int comet_client_open(const struct comet_client_options *opt, struct comet_client **out,
		      struct comet_client_goodbye *goodbye)
{
	struct client_options to = {
		.host = opt->host != NULL ? opt->host : "127.0.0.1",
		.port = opt->port != NULL ? opt->port : "3101",
	};

	return client_library_open(opt, &to, out, goodbye);
}

/* What the application has done with and was not confirmed yet; nobody waits for it for long. */
static void confirm_the_rest(struct comet_client *c)
{
	struct client_ask ask;

	if (c->rooms == NULL || c->is_broken || client_rooms_ask_last(c->rooms, c->connection, &ask) <= 0)
		return;
	(void)client_send(c->client, 1, ask.op, next_seq(c), ask.body, ask.body_bytes, clock_now_ns() + 50 * CLOCK_MS);
	free(ask.body);
}

void comet_client_close(struct comet_client **client)
{
	struct comet_client *c = *client;

	if (c == NULL)
		return;
	confirm_the_rest(c);
	backlog_fini(&c->kept);
	packet_drop_body(&c->handed);
	client_free(&c->client);
	free(c);
	*client = NULL;
}

/* ---- use ---- */

/* The next packet, kept or read; its body is good until the next one. */
static int next_packet(struct comet_client *c, int64_t deadline_ns, struct packet *p)
{
	packet_drop_body(&c->handed);
	if (!backlog_take(&c->kept, &c->handed))
		return read_packet(c, deadline_ns, p);
	*p = c->handed;
	return 0;
}

/* Ask for the rooms that are due. Their answers come in one order with pushes, and nobody waits for them here. */
static int ask_for_rooms(struct comet_client *c)
{
	struct client_ask ask;
	int rc;

	while ((rc = client_rooms_ask(c->rooms, c->connection, clock_now_ns(), next_seq(c), &ask)) > 0) {
		rc = send_packet(c, ask.op, c->seq, ask.body, ask.body_bytes);
		free(ask.body);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* The next push or event of the rooms, or any other packet. */
static int next_of_rooms(struct comet_client *c, int64_t deadline_ns, struct packet *p, struct client_event *out)
{
	int64_t due_ns;
	int rc;

	client_rooms_done(c->rooms);
	do {
		if (client_rooms_news(c->rooms, out))
			return 0;
		if ((rc = ask_for_rooms(c)) < 0)
			return rc;
		due_ns = client_rooms_due_ns(c->rooms, c->connection);
		rc = next_packet(c, due_ns < deadline_ns ? due_ns : deadline_ns, p);
		if (rc == 0)
			rc = client_rooms_take(c->rooms, c->connection, p, out);
		else if (rc != -ETIMEDOUT || clock_now_ns() >= deadline_ns)
			return rc;
	} while (rc == 0 || rc == -ETIMEDOUT);
	return rc > 0 || rc == -ENOENT ? 0 : rc;
}

int comet_client_next(struct comet_client *c, int wait_ms, struct comet_client_message *out)
{
	const int64_t deadline_ns = in_ms(wait_ms);
	const struct packet none = {.op = 0}, *from;
	struct packet p;
	struct client_event e = {.room = NULL};
	int rc = send_due_heartbeat(c); /* here, too, since pushes that never end leave no other time for it */

	if (rc == 0)
		rc = c->rooms != NULL ? next_of_rooms(c, deadline_ns, &p, &e) : next_packet(c, deadline_ns, &p);
	if (rc < 0)
		return public_code(rc);
	if (e.room == NULL)
		e = (struct client_event){.packet = &p, .room = "", .body = p.body, .body_bytes = p.body_bytes};
	from = e.packet != NULL ? e.packet : &none;
	*out = (struct comet_client_message){
		.op = from->op,
		.ver = from->ver,
		.seq = from->seq,
		.body = e.body,
		.body_bytes = e.body_bytes,
		.event = (int)e.kind,
		.room = e.room,
		.number = e.number,
		.replay = e.replay,
		.wait_ms = e.wait_ms,
	};
	return 0;
}

int comet_client_fd(const struct comet_client *c)
{
	return client_fd(c->client);
}

void comet_client_last_words(const struct comet_client *c, struct comet_client_goodbye *out)
{
	const char *reason;

	if (c == NULL)
		return;
	reason = c->goodbye.reason;
	if (reason[0] == '\0' && c->rooms != NULL && client_rooms_wrong(c->rooms) != NULL)
		reason = client_rooms_wrong(c->rooms);
	if (c->goodbye.code == GOODBYE_UNSAID && reason[0] == '\0' && c->client != NULL)
		reason = client_said(c->client);
	out->code = (int)c->goodbye.code;
	(void)snprintf(out->reason, sizeof(out->reason), "%s", reason);
	(void)snprintf(out->node, sizeof(out->node), "%s", c->goodbye.node);
}

int comet_client_change_room(struct comet_client *c, const char *room)
{
	return ask(c, OP_CHANGE_ROOM, OP_CHANGE_ROOM_REPLY, room, room != NULL ? strlen(room) : 0);
}

/* Operations as a list with commas. */
static int ask_about(struct comet_client *c, int32_t op, int32_t answer, const int32_t *ops, size_t n)
{
	char list[OPS_MAX * OP_CHARS];
	size_t at = 0;

	if (n == 0 || n > OPS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, i > 0 ? ",%d" : "%d", ops[i]);
	return ask(c, op, answer, list, at);
}

int comet_client_subscribe(struct comet_client *c, const int32_t *ops, size_t n)
{
	return ask_about(c, OP_SUB, OP_SUB_REPLY, ops, n);
}

int comet_client_unsubscribe(struct comet_client *c, const int32_t *ops, size_t n)
{
	return ask_about(c, OP_UNSUB, OP_UNSUB_REPLY, ops, n);
}

int comet_client_send(struct comet_client *c, int32_t op, const void *body, size_t body_bytes)
{
	return ask(c, op, op, body, body_bytes);
}

int comet_client_renew(struct comet_client *c, const char *token)
{
	return ask(c, OP_AUTH, OP_AUTH_REPLY, token, strlen(token));
}

int comet_client_heartbeat(struct comet_client *c, int *people_in_room)
{
	int64_t deadline_ns = clock_now_ns() + c->timeout_ns;
	struct packet p;
	int rc = c->beat_seq == 0 ? send_heartbeat(c) : 0;

	while (rc == 0 && c->beat_seq != 0 && (rc = read_any(c, deadline_ns, &p)) == 0)
		if (!take_beat(c, &p))
			rc = backlog_put(&c->kept, &p);
	*people_in_room = c->people;
	return rc == -ETIMEDOUT ? -ETIME : public_code(rc);
}

/* ---- coming back ---- */

int comet_client_may_return(const struct comet_client_goodbye *goodbye)
{
	return !client_goodbye_is_final(goodbye->code);
}

int comet_client_delay_ms(unsigned attempt)
{
	return (int)backoff_draw_ms(attempt);
}
