/* session: see session.h. The phases, in order: hold (session after session), run_session (one connection), follow (its
 * messages). SIGINT and SIGTERM arrive through a descriptor, so that every wait can end. SPDX-License-Identifier: MIT */
#include "cli/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/poll.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/session_out.h"
#include "cli/session_rooms.h"
#include "client/backoff.h"
#include "common/base/address.h"
#include "common/base/err.h"

#define CONNECT_NS (10 * CLOCK_SEC)
#define STABLE_NS  (10 * CLOCK_SEC) /* a session that lasted so long was a good one: back-off starts over */
#define REST_NS    (2 * CLOCK_SEC)  /* for the last messages of a server that goes away; it closes much sooner */

#define NEVER INT64_MAX

/* The end of a session, and its meaning. */
enum session_end {
	SESSION_DONE,        /* count reached, answered, or a signal */
	SESSION_TIMED_OUT,   /* --timeout is over */
	SESSION_UNREACHABLE, /* no connection came about */
	SESSION_LOST,        /* worth another attempt */
	SESSION_REFUSED,     /* no attempt will do better */
	SESSION_MUTE,        /* nobody takes our output */
};

/* One after another. */
struct sessions {
	const struct session_options *opt;
	const struct client_setup *who;
	int cancel_fd;
	int64_t deadline_ns;
	int64_t printed;
	int32_t packet_seq;                /* of the packet that is to be answered; 0: none is */
	bool was_online;                   /* ever */
	int64_t online_ns;                 /* since when in this session; 0: not authenticated in it */
	char next_node[CLIENT_NODE_BYTES]; /* where the last server sent us: tried once; empty: nowhere */
	struct address node;               /* the one of this session, cut into ... */
	const char *at_host, *at_port;     /* ... these; or they are those of the arguments */
	struct client *old;                /* to a server that goes away; its last messages are to be read */
	struct session_rooms rooms;
	unsigned reading, old_connection; /* the connection that is read, and the old one, by the rooms' numbers */
};

/* Say on stderr where we stand. */
static void say(const struct sessions *s, const char *words, const char *why)
{
	fprintf(stderr, "comet-cli: %s %s:%s%s%s\n", words, s->at_host, s->at_port, why != NULL ? ": " : "",
		why != NULL ? why : "");
}

/* What op 6 said, or where it said nothing, `said` beside packets. */
static void say_goodbye(const struct sessions *s, const char *words, const struct client_goodbye *goodbye,
			const char *said)
{
	char why[sizeof(goodbye->reason) + 40];

	if (goodbye->code != GOODBYE_UNSAID)
		snprintf(why, sizeof(why), "%s (code %lld)", goodbye->reason, (long long)goodbye->code);
	else
		snprintf(why, sizeof(why), "%s",
			 goodbye->reason[0] != '\0' ? goodbye->reason
			 : said[0] != '\0'          ? said
						    : "no reason given");
	say(s, words, why);
}

/* Is it an answer of the server, and no push of a back end? */
static bool is_reply(const struct sessions *s, int32_t op)
{
	if (op == OP_SEND_REPLY)
		return false; /* pushes of v1 carry it, and we never send op 4 */
	if (s->who->identity.dialect == DIALECT_V1)
		return true;
	return op == OP_HEARTBEAT_REPLY || op == OP_AUTH_REPLY || op == OP_CHANGE_ROOM_REPLY || op == OP_SUB_REPLY ||
	       op == OP_UNSUB_REPLY;
}

/* Does it come by a name of its own, by which a connection to another server replaces the one before? */
static bool has_key(const struct sessions *s)
{
	return s->who->made_token == NULL || s->who->identity.key != NULL;
}

/* Does a server that goes away name others? */
static void take_node(struct sessions *s, const struct client_goodbye *goodbye)
{
	if (goodbye->code == GOODBYE_DRAINING)
		memcpy(s->next_node, goodbye->node, sizeof(s->next_node));
}

/* Of the packet that we have sent. */
static enum session_end take_answer(struct sessions *s, const struct packet *p, bool *ended)
{
	const bool is_shut_out = p->op == OP_CHANGE_ROOM_REPLY && p->body_bytes == 0 && s->opt->packet[0] != '\0';
	int rc = session_out_answer(p, s->opt->packet, s->opt->style.json);

	s->packet_seq = 0;
	if (is_shut_out)
		fprintf(stderr, "comet-cli: the server lets this client not into %s: it is in no room now\n",
			s->opt->packet);
	*ended = rc < 0 || is_shut_out || !s->opt->follows;
	if (rc < 0)
		return SESSION_MUTE;
	return is_shut_out ? SESSION_REFUSED : SESSION_DONE;
}

/* A message was printed, or was not. */
static enum session_end printed(struct sessions *s, int rc, bool *ended)
{
	*ended = rc < 0 || ++s->printed == s->opt->count;
	return rc < 0 ? SESSION_MUTE : *ended ? SESSION_DONE : SESSION_LOST;
}

/* Is it the rooms' own? Then *end is the outcome. */
static bool take_of_rooms(struct sessions *s, const struct packet *p, bool *ended, enum session_end *end)
{
	int rc = session_rooms_take(&s->rooms, s->reading, p);

	*end = SESSION_LOST;
	*ended = rc == -EPROTO || rc == -ENOMEM;
	if (*ended)
		say(s, "lost", rc == -EPROTO ? client_rooms_wrong(s->rooms.rooms) : err_text(rc));
	else if (rc == 1 || rc == -EIO)
		*end = printed(s, rc, ended);
	return rc != -ENOENT;
}

static enum session_end take_packet(struct sessions *s, const struct packet *p, bool *ended)
{
	struct client_goodbye goodbye;
	enum session_end end;

	if (take_of_rooms(s, p, ended, &end))
		return end;
	*ended = true;
	if (p->op == OP_DISCONNECT) {
		client_read_goodbye(p, &goodbye);
		say_goodbye(s, "closed by", &goodbye, "");
		take_node(s, &goodbye);
		return client_goodbye_is_final(goodbye.code) ? SESSION_REFUSED : SESSION_LOST;
	}
	if (s->packet_seq != 0 && p->op == s->opt->reply_op && p->seq == s->packet_seq)
		return take_answer(s, p, ended);
	if (!is_reply(s, p->op))
		return printed(s, session_out_message(p, NULL, &s->opt->style), ended);
	*ended = false;
	return SESSION_LOST;
}

/* The first answer was not what our server would say: perhaps another kind of server has the port. "": nothing tells so. */
static const char *guess(const struct sessions *s, int rc, const char *said)
{
	const struct client_options *to = &s->who->to;

	if (s->online_ns != 0)
		return "";
	if (to->open == NULL && rc <= -ERR_PACKET_LENGTH && rc >= -ERR_PACKET_HEADER)
		return ", which no comet says; is it the port of the HTTP API, or for WebSocket (ws://)?";
	if (to->open == NULL && rc == -ERR_REFUSED)
		return "; is the port for TLS (tls://), or for WebSocket (ws://)?";
	if (to->tls && strncmp(said, "no TLS", 6) == 0)
		return "; is TLS spoken at that port?";
	if (strncmp(said, "no WebSocket server there", 25) == 0)
		return "; is the port for TCP clients (tcp://), or for TLS (wss://)?";
	return "";
}

/* How an error of the client ends the session. A real one is said on stderr, in the server's words if there are any. */
static enum session_end read_failed(const struct sessions *s, int rc, const char *words, const char *said)
{
	char why[CLIENT_WORDS_BYTES + 100];

	if (rc == -ECANCELED)
		return SESSION_DONE;
	if (rc == -ETIMEDOUT && clock_now_ns() >= s->deadline_ns)
		return SESSION_TIMED_OUT;
	(void)snprintf(why, sizeof(why), "%s%s",
		       said[0] != '\0' ? said
		       : rc == -ENOENT ? "the name does not resolve"
				       : err_text(rc),
		       guess(s, rc, said));
	say(s, words, why);
	return SESSION_LOST;
}

static bool send_packet(struct sessions *s, struct client *c, int32_t seq)
{
	int rc = client_send(c, 1, s->opt->packet_op, seq, s->opt->packet, (uint32_t)strlen(s->opt->packet),
			     s->deadline_ns);

	s->packet_seq = seq;
	if (rc < 0)
		(void)read_failed(s, rc, "lost", client_said(c));
	return rc == 0;
}

/* Print messages as they come, and send a heartbeat each heartbeat_ns. If a heartbeat has no answer for as long, the connection is
 * dead, even if TCP has not noticed. */
static enum session_end follow(struct sessions *s, struct client *c)
{
	int64_t beat_ns = clock_now_ns() + s->opt->heartbeat_ns;
	bool unanswered = false, ended = false;
	struct packet p;
	int32_t seq = 1;

	if (s->opt->packet != NULL && !send_packet(s, c, ++seq))
		return SESSION_LOST;
	s->reading = s->rooms.connection;
	for (;;) {
		int64_t wake_ns = beat_ns < s->deadline_ns ? beat_ns : s->deadline_ns;
		int rc = session_rooms_step(&s->rooms, c, &seq, wake_ns);
		enum session_end end;

		if (rc == -ENOTCONN)
			return SESSION_REFUSED;
		if (rc == 0)
			rc = client_read(c, session_rooms_wake_ns(&s->rooms, wake_ns), &p);
		if (rc < 0 && (rc != -ETIMEDOUT || clock_now_ns() >= s->deadline_ns))
			return read_failed(s, rc, "lost", client_said(c));
		if (rc == 0) {
			unanswered = false;
			end = take_packet(s, &p, &ended);
			if (ended)
				return end;
		}
		if (clock_now_ns() < beat_ns)
			continue;
		if (unanswered) {
			say(s, "lost", "no answer to a heartbeat");
			return SESSION_LOST;
		}
		beat_ns += s->opt->heartbeat_ns;
		unanswered = true;
		rc = client_send(c, s->who->identity.dialect == DIALECT_V2, OP_HEARTBEAT, ++seq, NULL, 0, beat_ns);
		if (rc < 0)
			return read_failed(s, rc, "lost", client_said(c));
	}
}

static void say_online(const struct sessions *s)
{
	char name[360];

	client_setup_name(s->who, name, sizeof(name));
	fprintf(stderr, "comet-cli: online at %s:%s %s\n", s->at_host, s->at_port, name);
}

static enum session_end sign_in(struct sessions *s, struct client *c, int64_t deadline_ns)
{
	struct client_goodbye goodbye = {.code = GOODBYE_UNSAID};
	char silence[120];
	int rc = session_rooms_authenticate(&s->rooms, s->who, c, deadline_ns, &goodbye);

	if (rc == -ERR_REFUSED) {
		(void)snprintf(silence, sizeof(silence), "it closed without a word%s", guess(s, rc, ""));
		say_goodbye(s, "refused by", &goodbye, client_said(c)[0] != '\0' ? client_said(c) : silence);
		take_node(s, &goodbye);
		/* Draining, or logic away for now: later may be better. A server that just closes (goim) means no. */
		return goodbye.code != GOODBYE_UNSAID && !client_goodbye_is_final(goodbye.code) ? SESSION_LOST
												: SESSION_REFUSED;
	}
	if (rc < 0)
		return read_failed(s, rc, "no authentication by",
				   goodbye.reason[0] != '\0' ? goodbye.reason : client_said(c));
	s->online_ns = clock_now_ns();
	s->was_online = true;
	say_online(s);
	return SESSION_DONE;
}

/* Choose this session's server: the node that the last server named, or the one of the arguments. Nodes are named by their port
 * for TCP clients; the other ports are the same on all of them. */
static void aim(struct sessions *s)
{
	bool sent = address_parse(s->next_node, &s->node) == 0 && s->node.host[0] != '\0' && s->node.port[0] != '\0';

	s->next_node[0] = '\0';
	s->at_host = sent ? s->node.host : s->who->to.host;
	s->at_port = sent && s->who->to.open == NULL ? s->node.port : s->who->to.port;
}

/* How it ends where no connection came about. */
static enum session_end not_connected(const struct sessions *s, int rc, const char *why)
{
	enum session_end end = read_failed(s, rc, "cannot reach", why);

	if (end != SESSION_LOST || rc == -EAGAIN)
		return end;
	return rc == -ERR_REFUSED || rc == -ERR_TLS ? SESSION_REFUSED : SESSION_UNREACHABLE;
}

/* DONE and online_ns set where we are in. */
static enum session_end open_session(struct sessions *s, struct client **c)
{
	char why[CLIENT_WORDS_BYTES];
	struct client_options opt = s->who->to;
	int64_t deadline_ns = clock_now_ns() + CONNECT_NS;
	int rc;

	opt.host = s->at_host;
	opt.port = s->at_port;
	opt.cancel_fd = s->cancel_fd;
	opt.why = why;
	if (deadline_ns > s->deadline_ns)
		deadline_ns = s->deadline_ns;
	rc = client_connect(&opt, deadline_ns, c);
	return rc < 0 ? not_connected(s, rc, why) : sign_in(s, *c, deadline_ns);
}

/* We are on another server, or could not get there: print the last messages of the server that goes away. It closes when our key has
 * moved. Without a key its further messages come on the new connection as well. LOST where the command goes on. */
static enum session_end read_rest(struct sessions *s)
{
	bool moves = s->online_ns > 0 && has_key(s);
	int64_t now_ns = clock_now_ns(), end_ns = now_ns + REST_NS;
	enum session_end end = SESSION_LOST;
	bool ended = false;
	struct packet p;
	int rc = 0;

	if (s->old == NULL)
		return SESSION_LOST;
	if (end_ns > s->deadline_ns)
		end_ns = s->deadline_ns;
	s->reading = s->old_connection;
	while (!ended && clock_now_ns() < end_ns && (rc = client_read(s->old, moves ? end_ns : now_ns, &p)) == 0) {
		if (p.op == OP_DISCONNECT)
			break;
		end = take_packet(s, &p, &ended);
	}
	client_free(&s->old);
	return rc == -ECANCELED ? SESSION_DONE : end;
}

static enum session_end run_session(struct sessions *s)
{
	struct client *c = NULL;
	enum session_end end, rest;

	s->online_ns = 0;
	aim(s);
	end = open_session(s, &c);
	rest = read_rest(s);
	if (rest != SESSION_LOST)
		end = rest;
	else if (end == SESSION_DONE && s->online_ns > 0)
		end = follow(s, c);
	if (end == SESSION_LOST && s->online_ns > 0 && s->next_node[0] != '\0') {
		s->old = c;
		s->old_connection = s->rooms.connection;
		c = NULL;
	}
	client_free(&c);
	return end;
}

/* Sleep before the next attempt: LOST when it is due, otherwise how it all ended. */
static enum session_end wait_out(const struct sessions *s, unsigned attempt)
{
	struct pollfd fd = {s->cancel_fd, POLLIN, 0};
	int64_t delay_ms = backoff_draw_ms(attempt), left_ms = (s->deadline_ns - clock_now_ns()) / CLOCK_MS;

	if (s->next_node[0] != '\0') /* where we have to be before the old one is gone */
		delay_ms = backoff_sent_ms(delay_ms);
	fprintf(stderr, "comet-cli: trying again in %.1f s\n", (double)delay_ms / 1000);
	if (left_ms <= delay_ms) {
		if (poll(&fd, 1, (int)(left_ms > 0 ? left_ms : 0)) > 0)
			return SESSION_DONE;
		return SESSION_TIMED_OUT;
	}
	return poll(&fd, 1, (int)delay_ms) > 0 ? SESSION_DONE : SESSION_LOST;
}

static enum session_end hold(struct sessions *s)
{
	unsigned attempt = 0;

	for (;;) {
		enum session_end end = run_session(s);

		/* The first attempt tells a wrong address from one that is down for a while. */
		if (end == SESSION_UNREACHABLE && s->was_online)
			end = SESSION_LOST;
		if (end != SESSION_LOST || !s->opt->reconnect)
			return end;
		if (s->online_ns > 0 && clock_now_ns() - s->online_ns >= STABLE_NS)
			attempt = 0;
		if ((end = wait_out(s, ++attempt)) != SESSION_LOST)
			return end;
	}
}

/* ---- from outside ---- */

static int exit_code(enum session_end end)
{
	switch (end) {
	case SESSION_DONE:
		return EXIT_OK;
	case SESSION_TIMED_OUT:
		fprintf(stderr, "comet-cli: timed out\n");
		return EXIT_TIMEOUT;
	case SESSION_UNREACHABLE:
		return EXIT_UNREACHABLE;
	case SESSION_LOST:
	case SESSION_REFUSED:
	case SESSION_MUTE:
		break;
	}
	return EXIT_REFUSED;
}

int session_run(const struct session_options *opt)
{
	struct sessions s = {
		.opt = opt,
		.who = &opt->who,
		.deadline_ns = opt->timeout_ns > 0 ? clock_now_ns() + opt->timeout_ns : NEVER,
		.rooms = {.style = opt->style},
	};
	int rc = interrupt_open(&s.cancel_fd), code = EXIT_REFUSED;

	if (rc < 0) {
		fprintf(stderr, "comet-cli: no descriptor for signals: %s\n", err_text(rc));
		return EXIT_REFUSED;
	}
	if (opt->rooms != NULL && (rc = session_rooms_want(&s.rooms, opt->rooms, opt->since, opt->last)) < 0)
		fprintf(stderr, "comet-cli: cannot join %s: %s\n", opt->rooms, err_text(rc));
	else
		code = exit_code(hold(&s));
	session_rooms_fini(&s.rooms);
	client_free(&s.old);
	close(s.cancel_fd);
	return code;
}
