/* sub: a client that stays: connect, authenticate, print what is pushed, keep the heartbeat, come back after a loss.
 * One thread; SIGINT and SIGTERM arrive through a descriptor, so that every wait can end. The phases, in order:
 * read_arguments, hold (session after session), run_session (one connection), follow (its messages).
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/poll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/printer.h"
#include "client/backoff.h"
#include "client/client.h"
#include "common/base/clock.h"
#include "common/base/err.h"

#define ACCEPTS_MAX  256
#define CONNECT_NS   (10 * CLOCK_SEC)
#define STABLE_NS    (10 * CLOCK_SEC) /* a session that lasted so long was a good one: back-off starts over */
#define REST_NS      (2 * CLOCK_SEC)  /* for what a server that goes away still sends; it closes much sooner */
#define HEARTBEAT_NS (30 * CLOCK_SEC)
#define NEVER        INT64_MAX

struct sub {
	/* the arguments */
	const char *host, *port;
	struct client_identity identity;
	int32_t accepts[ACCEPTS_MAX];
	const char *token; /* given as it is, or made of identity */
	char *made_token;
	int64_t count; /* leave after so many messages; 0: stay */
	int64_t heartbeat_ns;
	int64_t timeout_ns;
	bool json, reconnect;
	/* the run */
	int64_t deadline_ns;
	int signal_fd;
	int64_t printed;
	bool was_online;                   /* ever */
	int64_t online_ns;                 /* since when in this session; 0: not authenticated in it */
	char next_node[CLIENT_NODE_BYTES]; /* where the last server sent us: tried once; empty: nowhere */
	char node[CLIENT_NODE_BYTES];      /* the one of this session, cut into ... */
	const char *at_host, *at_port;     /* ... these; or they are those of the arguments */
	struct client *old;                /* to a server that goes away: what it still sends is to be read */
};

/* How a session ended, and what that means. */
enum session_end {
	SESSION_DONE,        /* count reached, or a signal */
	SESSION_TIMED_OUT,   /* --timeout is over */
	SESSION_UNREACHABLE, /* no connection came about */
	SESSION_LOST,        /* worth another attempt */
	SESSION_REFUSED,     /* no attempt will do better */
	SESSION_MUTE,        /* nobody takes our output */
};

static const char help[] =
	"comet-cli sub: be a client, and print each message as it arrives\n"
	"\n"
	"  comet-cli sub [options]\n"
	"\n"
	"  --host HOST        where comet is (127.0.0.1)\n"
	"  --port PORT        its port for TCP clients (3101)\n"
	"  --mid N            the user we say we are; 0 is nobody (0)\n"
	"  --key KEY          the name of this connection; without it the server makes one\n"
	"  --room TYPE://ID   the room we are in\n"
	"  --accepts OPS      operations we want, with commas (1000); pushes to a room come anyway\n"
	"  --token TEXT       say this as the token, as it is, instead of one made of the options above\n"
	"  --v1               speak the first version of the protocol: the token is --mid, all pushes come as op 5\n"
	"  --count N          leave after N messages\n"
	"  --timeout TIME     leave with code 4 after this time: 10, 500ms, 5m\n"
	"  --heartbeat TIME   how often we say that we are still here (30s)\n"
	"  --json             print each message as a JSON object: op, ver, seq, and body or body_base64\n"
	"  --no-reconnect     leave when the connection is lost\n"
	"\n"
	"Messages go to stdout, one a line and at once; everything else goes to stderr. A lost connection is opened "
	"again\n"
	"after half a second, then after longer and longer up to half a minute; one that was kicked, replaced by "
	"another\n"
	"connection with the same key, or refused is not. A server that goes away says where else to go: we are there\n"
	"first, and print what it still sends.\n"
	"\n"
	"Exit code: 0 count reached, SIGINT or SIGTERM; 1 refused, or closed with --no-reconnect; 2 wrong command "
	"line;\n"
	"3 nobody answers at that address; 4 --timeout is over.\n"
	"\n"
	"Examples, in one terminal and another:\n"
	"  comet-cli sub --mid 123 --room live://1000\n"
	"  comet-cli push mid 123 '{\"hello\":\"123\"}'\n"
	"  comet-cli push room live://1000 '{\"hello\":\"room\"}'\n"
	"\n"
	"One message, as a script would take it:\n"
	"  comet-cli sub --mid 123 --count 1 --json --timeout 60\n";

/* Say on stderr where we stand. */
static void say(const struct sub *s, const char *words, const char *why)
{
	fprintf(stderr, "comet-cli: %s %s:%s%s%s\n", words, s->at_host, s->at_port, why != NULL ? ": " : "",
		why != NULL ? why : "");
}

static void say_goodbye(const struct sub *s, const char *words, const struct client_goodbye *goodbye)
{
	char why[sizeof(goodbye->reason) + 40];

	if (goodbye->code != GOODBYE_UNSAID)
		snprintf(why, sizeof(why), "%s (code %lld)", goodbye->reason, (long long)goodbye->code);
	else
		snprintf(why, sizeof(why), "%s", goodbye->reason[0] != '\0' ? goodbye->reason : "no reason given");
	say(s, words, why);
}

/* What the server answers us with, as opposed to what a back end pushed. */
static bool is_reply(const struct sub *s, int32_t op)
{
	if (op == OP_SEND_REPLY)
		return false; /* pushes of v1 carry it, and we never send op 4 */
	if (s->identity.dialect == DIALECT_V1)
		return true;
	return op == OP_HEARTBEAT_REPLY || op == OP_AUTH_REPLY || op == OP_CHANGE_ROOM_REPLY || op == OP_SUB_REPLY ||
	       op == OP_UNSUB_REPLY;
}

/* 0, or -errno where stdout does not take it. */
static int print_message(struct sub *s, const struct packet *p)
{
	int rc = 0;

	errno = 0;
	if (s->json)
		rc = printer_json(stdout, p);
	else
		printer_text(stdout, p);
	if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		rc = errno != 0 ? -errno : -EIO;
	s->printed++;
	return rc;
}

/* Does the server say where else to go, as it goes away itself? */
static void take_node(struct sub *s, const struct client_goodbye *goodbye)
{
	if (goodbye->code == GOODBYE_DRAINING)
		memcpy(s->next_node, goodbye->node, sizeof(s->next_node));
}

static enum session_end take_packet(struct sub *s, const struct packet *p, bool *ended)
{
	struct client_goodbye goodbye;
	int rc;

	*ended = true;
	if (p->op == OP_DISCONNECT) {
		client_read_goodbye(p, &goodbye);
		say_goodbye(s, "closed by", &goodbye);
		take_node(s, &goodbye);
		return client_goodbye_is_final(goodbye.code) ? SESSION_REFUSED : SESSION_LOST;
	}
	if (!is_reply(s, p->op)) {
		if ((rc = print_message(s, p)) < 0) {
			fprintf(stderr, "comet-cli: cannot write the message: %s\n", err_text(rc));
			return SESSION_MUTE;
		}
		if (s->count > 0 && s->printed >= s->count)
			return SESSION_DONE;
	}
	*ended = false;
	return SESSION_LOST;
}

/* What an error of the client means for the session; it is said on stderr where it is one. */
static enum session_end read_failed(const struct sub *s, int rc, const char *words)
{
	if (rc == -ECANCELED)
		return SESSION_DONE;
	if (rc == -ETIMEDOUT && clock_now_ns() >= s->deadline_ns)
		return SESSION_TIMED_OUT;
	say(s, words, err_text(rc));
	return SESSION_LOST;
}

/* Print what comes, and say that we are here each heartbeat_ns. A whole such time in which the server says nothing to
 * a heartbeat means that the connection is dead, whatever TCP thinks. */
static enum session_end follow(struct sub *s, struct client *c)
{
	int64_t beat_ns = clock_now_ns() + s->heartbeat_ns;
	bool unanswered = false, ended = false;
	struct packet p;
	int32_t seq = 1;

	for (;;) {
		int rc = client_read(c, beat_ns < s->deadline_ns ? beat_ns : s->deadline_ns, &p);
		enum session_end end;

		if (rc < 0 && (rc != -ETIMEDOUT || clock_now_ns() >= s->deadline_ns))
			return read_failed(s, rc, "lost");
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
		beat_ns += s->heartbeat_ns;
		unanswered = true;
		rc = client_send(c, s->identity.dialect == DIALECT_V2, OP_HEARTBEAT, ++seq, NULL, 0, beat_ns);
		if (rc < 0)
			return read_failed(s, rc, "lost");
	}
}

static enum session_end sign_in(struct sub *s, struct client *c, int64_t deadline_ns)
{
	struct client_goodbye goodbye;
	int rc = client_authenticate(c, s->identity.dialect, s->token, deadline_ns, &goodbye);

	if (rc == -ERR_REFUSED) {
		say_goodbye(s, "refused by", &goodbye);
		take_node(s, &goodbye);
		/* Draining, or logic away for now: later may be better. A server that just closes (goim) means no. */
		return goodbye.code != GOODBYE_UNSAID && !client_goodbye_is_final(goodbye.code) ? SESSION_LOST
												: SESSION_REFUSED;
	}
	if (rc < 0)
		return read_failed(s, rc, "no authentication by");
	s->online_ns = clock_now_ns();
	s->was_online = true;
	say(s, "online at", NULL);
	return SESSION_DONE;
}

/* host:port, or [host]:port where host is an IPv6 address. */
static bool split_node(char *node, const char **host, const char **port)
{
	char *colon = strrchr(node, ':');
	bool in_brackets = colon != NULL && colon > node + 1 && node[0] == '[' && colon[-1] == ']';

	if (colon == NULL || colon == node || colon[1] == '\0')
		return false;
	colon[in_brackets ? -1 : 0] = '\0';
	*host = node + in_brackets;
	*port = colon + 1;
	return true;
}

/* Where does this session go? To where the one before was sent, or to where the arguments say. */
static void aim(struct sub *s)
{
	memcpy(s->node, s->next_node, sizeof(s->node));
	s->next_node[0] = '\0';
	if (!split_node(s->node, &s->at_host, &s->at_port)) {
		s->at_host = s->host;
		s->at_port = s->port;
	}
}

/* DONE and online_ns set where we are in. */
static enum session_end open_session(struct sub *s, struct client **c)
{
	struct client_options opt = {.host = s->at_host, .port = s->at_port, .cancel_fd = s->signal_fd};
	int64_t deadline_ns = clock_now_ns() + CONNECT_NS;
	enum session_end end;
	int rc;

	if (deadline_ns > s->deadline_ns)
		deadline_ns = s->deadline_ns;
	rc = client_connect(&opt, deadline_ns, c);
	if (rc < 0) {
		end = read_failed(s, rc, "cannot reach");
		return end == SESSION_LOST ? SESSION_UNREACHABLE : end;
	}
	return sign_in(s, *c, deadline_ns);
}

/* We are elsewhere, or could not get there: print what the server that goes away has sent meanwhile. It closes when our
 * key has moved. Without a key none moves, and what it sends from now on comes on the new connection as well.
 * LOST where that is no end of it all. */
static enum session_end read_rest(struct sub *s)
{
	bool moves = s->online_ns > 0 && (s->identity.key != NULL || s->token != s->made_token);
	int64_t now_ns = clock_now_ns(), end_ns = now_ns + REST_NS;
	enum session_end end = SESSION_LOST;
	bool ended = false;
	struct packet p;
	int rc = 0;

	if (s->old == NULL)
		return SESSION_LOST;
	if (end_ns > s->deadline_ns)
		end_ns = s->deadline_ns;
	while (!ended && clock_now_ns() < end_ns && (rc = client_read(s->old, moves ? end_ns : now_ns, &p)) == 0) {
		if (p.op == OP_DISCONNECT)
			break;
		end = take_packet(s, &p, &ended);
	}
	client_free(&s->old);
	return rc == -ECANCELED ? SESSION_DONE : end;
}

static enum session_end run_session(struct sub *s)
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
		c = NULL;
	}
	client_free(&c);
	return end;
}

/* Sleep before the next attempt: LOST when it is due, else how it all ended. */
static enum session_end wait_out(const struct sub *s, unsigned attempt)
{
	struct pollfd fd = {s->signal_fd, POLLIN, 0};
	uint32_t random = 0;
	int64_t delay_ms, left_ms = (s->deadline_ns - clock_now_ns()) / CLOCK_MS;

	/* Without random bytes, which no kernel of today leaves us, the jitter is that of 0. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = 0;
	delay_ms = backoff_delay_ms(attempt, random);
	fprintf(stderr, "comet-cli: trying again in %.1f s\n", (double)delay_ms / 1000);
	if (left_ms <= delay_ms) {
		if (poll(&fd, 1, (int)(left_ms > 0 ? left_ms : 0)) > 0)
			return SESSION_DONE;
		return SESSION_TIMED_OUT;
	}
	return poll(&fd, 1, (int)delay_ms) > 0 ? SESSION_DONE : SESSION_LOST;
}

/* Session after session, until one ends it all. */
static enum session_end hold(struct sub *s)
{
	unsigned attempt = 0;

	for (;;) {
		enum session_end end = run_session(s);

		/* The first attempt tells a wrong address from one that is down for a while. */
		if (end == SESSION_UNREACHABLE && s->was_online)
			end = SESSION_LOST;
		if (end != SESSION_LOST || !s->reconnect)
			return end;
		/* Who is sent elsewhere has to be there before the old server is gone. */
		if (s->next_node[0] != '\0' || (s->online_ns > 0 && clock_now_ns() - s->online_ns >= STABLE_NS))
			attempt = 0;
		if ((end = wait_out(s, ++attempt)) != SESSION_LOST)
			return end;
	}
}

static int exit_code(enum session_end end)
{
	switch (end) {
	case SESSION_DONE:
		return EXIT_OK;
	case SESSION_TIMED_OUT:
		fprintf(stderr, "comet-cli: the time is over\n");
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

/* SIGINT and SIGTERM as a descriptor. */
static int open_signals(int *out)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	*out = signalfd(-1, &set, SFD_CLOEXEC);
	return *out < 0 ? -errno : 0;
}

enum {
	OPT_HELP = 'h',
	OPT_HOST = 256,
	OPT_PORT,
	OPT_MID,
	OPT_KEY,
	OPT_ROOM,
	OPT_ACCEPTS,
	OPT_TOKEN,
	OPT_V1,
	OPT_COUNT,
	OPT_TIMEOUT,
	OPT_HEARTBEAT,
	OPT_JSON,
	OPT_NO_RECONNECT,
};

static const struct option options[] = {
	{"help", no_argument, NULL, OPT_HELP},
	{"host", required_argument, NULL, OPT_HOST},
	{"port", required_argument, NULL, OPT_PORT},
	{"mid", required_argument, NULL, OPT_MID},
	{"key", required_argument, NULL, OPT_KEY},
	{"room", required_argument, NULL, OPT_ROOM},
	{"accepts", required_argument, NULL, OPT_ACCEPTS},
	{"token", required_argument, NULL, OPT_TOKEN},
	{"v1", no_argument, NULL, OPT_V1},
	{"count", required_argument, NULL, OPT_COUNT},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"heartbeat", required_argument, NULL, OPT_HEARTBEAT},
	{"json", no_argument, NULL, OPT_JSON},
	{"no-reconnect", no_argument, NULL, OPT_NO_RECONNECT},
	{NULL, 0, NULL, 0},
};

/* One option; false where its value is wrong, which was said. */
static bool take_option(struct sub *s, int option)
{
	int64_t port;

	switch (option) {
	case OPT_HOST:
		s->host = optarg;
		return true;
	case OPT_PORT:
		s->port = optarg;
		return argument_i64("--port", optarg, 1, 65535, &port);
	case OPT_MID:
		return argument_i64("--mid", optarg, INT64_MIN, INT64_MAX, &s->identity.mid);
	case OPT_KEY:
		s->identity.key = optarg;
		return true;
	case OPT_ROOM:
		s->identity.room = optarg;
		return true;
	case OPT_ACCEPTS:
		return argument_numbers("--accepts", optarg, s->accepts, ACCEPTS_MAX, &s->identity.n_accepts);
	case OPT_TOKEN:
		s->token = optarg;
		return true;
	case OPT_V1:
		s->identity.dialect = DIALECT_V1;
		return true;
	case OPT_COUNT:
		return argument_i64("--count", optarg, 1, INT64_MAX, &s->count);
	case OPT_TIMEOUT:
		return argument_time("--timeout", optarg, &s->timeout_ns);
	case OPT_HEARTBEAT:
		return argument_time("--heartbeat", optarg, &s->heartbeat_ns);
	case OPT_JSON:
		s->json = true;
		return true;
	case OPT_NO_RECONNECT:
		s->reconnect = false;
		return true;
	default:
		fprintf(stderr, "comet-cli sub --help shows the options\n");
		return false;
	}
}

/* -1 to go on, else the exit code. */
static int read_arguments(struct sub *s, int argc, char **argv)
{
	int option, rc;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == OPT_HELP) {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (!take_option(s, option))
			return EXIT_USAGE;
	}
	if (optind < argc)
		return argument_wrong("sub", "what is \"%s\"? All of sub's arguments are options", argv[optind]);
	if (s->token != NULL)
		return -1;
	if ((rc = client_token(&s->identity, &s->made_token)) < 0)
		return argument_wrong("sub", "no token comes of --key and --room: %s", err_text(rc));
	s->token = s->made_token;
	return -1;
}

int command_sub(int argc, char **argv)
{
	struct sub s = {
		.host = "127.0.0.1",
		.port = "3101",
		.identity = {.dialect = DIALECT_V2, .platform = "cli", .n_accepts = 1},
		.accepts = {1000},
		.heartbeat_ns = HEARTBEAT_NS,
		.reconnect = true,
	};
	int code, rc;

	s.identity.accepts = s.accepts;
	if ((code = read_arguments(&s, argc, argv)) >= 0)
		goto free_token;
	s.deadline_ns = s.timeout_ns > 0 ? clock_now_ns() + s.timeout_ns : NEVER;
	if ((rc = open_signals(&s.signal_fd)) < 0) {
		fprintf(stderr, "comet-cli: no descriptor for signals: %s\n", err_text(rc));
		code = EXIT_REFUSED;
		goto free_token;
	}
	code = exit_code(hold(&s));
	client_free(&s.old);
	close(s.signal_fd);

free_token:
	free(s.made_token);
	return code;
}
