/* sub: the command line of `comet-cli sub`. SIGINT and SIGTERM arrive through a descriptor, so that every
 * wait can end. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "client/client.h"
#include "client/client_url.h"
#include "common/base/clock.h"
#include "common/base/err.h"

#define ACCEPTS_MAX  256
#define HEARTBEAT_NS (30 * CLOCK_SEC)
#define NEVER        INT64_MAX

struct sub {
	struct session_options session;
	struct client_url url;
	bool has_place; /* --host or --port */
	struct client_identity identity;
	int32_t accepts[ACCEPTS_MAX];
	char *made_token; /* of identity, where none was given */
	int64_t timeout_ns;
};

static const char help[] =
	"comet-cli sub: be a client, and print each message as it arrives\n"
	"\n"
	"  comet-cli sub [options] [URL]\n"
	"\n"
	"  --host HOST        comet's host (127.0.0.1)\n"
	"  --port PORT        its port for TCP clients (3101)\n"
	"  --cacert FILE      certificates to trust with tls:// and wss://, PEM; without it those of the system\n"
	"  --insecure         with tls:// and wss://: any certificate will do\n"
	"  --mid N            our user id; 0 is nobody (0)\n"
	"  --key KEY          the name of this connection; without it the server makes one\n"
	"  --room TYPE://ID   our room\n"
	"  --accepts OPS      operations we want, with commas (1000); pushes to a room come anyway\n"
	"  --token TEXT       send this token as it is, instead of one made from the options above\n"
	"  --v1               speak the first version of the protocol: the token is --mid, all pushes come as op 5\n"
	"  --count N          leave after N messages\n"
	"  --timeout TIME     leave with code 4 after this time: 10, 500ms, 5m\n"
	"  --heartbeat TIME   send a heartbeat this often (30s)\n"
	"  --json             print each message as a JSON object: op, ver, seq, and body or body_base64\n"
	"  --no-reconnect     leave when the connection is lost\n"
	"\n"
	"URL replaces --host and --port: tcp://HOST:PORT, tls://HOST:PORT, ws://HOST:PORT/sub or\n"
	"wss://HOST:PORT/sub.\n"
	"\n"
	"Messages go to stdout, one a line and at once; all other output goes to stderr. A lost connection is opened "
	"again\n"
	"after half a second, then after longer and longer up to half a minute; a connection that was kicked, refused, "
	"or\n"
	"replaced by another one with the same key is not. A server that goes away names others: we connect to one of\n"
	"them, and print the last messages of the old one.\n"
	"\n"
	"Exit code: 0 count reached, SIGINT or SIGTERM; 1 refused, or closed with --no-reconnect; 2 wrong command "
	"line;\n"
	"3 nobody answers at that address; 4 timed out after --timeout.\n"
	"\n"
	"Examples, in one terminal and another:\n"
	"  comet-cli sub --mid 123 --room live://1000\n"
	"  comet-cli push mid 123 '{\"hello\":\"123\"}'\n"
	"  comet-cli push room live://1000 '{\"hello\":\"room\"}'\n"
	"\n"
	"Over WebSocket, as browsers do:\n"
	"  comet-cli sub ws://127.0.0.1:3102/sub --mid 123\n"
	"\n"
	"One message, as a script would take it:\n"
	"  comet-cli sub --mid 123 --count 1 --json --timeout 60\n";

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
	OPT_CACERT,
	OPT_INSECURE,
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
	{"cacert", required_argument, NULL, OPT_CACERT},
	{"insecure", no_argument, NULL, OPT_INSECURE},
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

/* One of the options that say where to; false where its value is wrong, which was said. */
static bool take_place(struct sub *s, int option)
{
	struct client_options *to = &s->session.to;
	int64_t port;

	switch (option) {
	case OPT_HOST:
		to->host = optarg;
		s->has_place = true;
		return true;
	case OPT_PORT:
		to->port = optarg;
		s->has_place = true;
		return argument_i64("--port", optarg, 1, 65535, &port);
	case OPT_CACERT:
		to->ca_file = optarg;
		return true;
	default:
		to->insecure = true;
		return true;
	}
}

/* The same of all options. */
static bool take_option(struct sub *s, int option)
{
	switch (option) {
	case OPT_HOST:
	case OPT_PORT:
	case OPT_CACERT:
	case OPT_INSECURE:
		return take_place(s, option);
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
		s->session.token = optarg;
		return true;
	case OPT_V1:
		s->identity.dialect = DIALECT_V1;
		return true;
	case OPT_COUNT:
		return argument_i64("--count", optarg, 1, INT64_MAX, &s->session.count);
	case OPT_TIMEOUT:
		return argument_time("--timeout", optarg, &s->timeout_ns);
	case OPT_HEARTBEAT:
		return argument_time("--heartbeat", optarg, &s->session.heartbeat_ns);
	case OPT_JSON:
		s->session.json = true;
		return true;
	case OPT_NO_RECONNECT:
		s->session.reconnect = false;
		return true;
	default:
		fprintf(stderr, "comet-cli sub --help shows the options\n");
		return false;
	}
}

/* -1 to go on, otherwise the exit code. */
static int take_url(struct sub *s, char **words, int n)
{
	struct client_options *to = &s->session.to;

	if (n > 1)
		return argument_wrong("sub", "what is \"%s\"? There is one URL", words[1]);
	if (n == 1 && client_url_parse(words[0], &s->url) < 0)
		return argument_wrong(
			"sub", "what is \"%s\"? A URL is ws://HOST:PORT/sub, or begins with wss://, tcp:// or tls://",
			words[0]);
	if (n == 1 && s->has_place)
		return argument_wrong("sub", "the URL says host and port: leave --host and --port out");
	if (n == 1)
		client_url_aim(&s->url, to);
	if ((to->ca_file != NULL || to->insecure) && !to->tls)
		return argument_wrong("sub", "--cacert and --insecure are for a URL with wss:// or tls://");
	return -1;
}

/* The same. */
static int read_arguments(struct sub *s, int argc, char **argv)
{
	int option, code, rc;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == OPT_HELP) {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (!take_option(s, option))
			return EXIT_USAGE;
	}
	if ((code = take_url(s, argv + optind, argc - optind)) >= 0)
		return code;
	s->session.dialect = s->identity.dialect;
	s->session.has_key = s->session.token != NULL || s->identity.key != NULL;
	if (s->session.token != NULL)
		return -1;
	if ((rc = client_token(&s->identity, &s->made_token)) < 0)
		return argument_wrong("sub", "no token comes of --key and --room: %s", err_text(rc));
	s->session.token = s->made_token;
	return -1;
}

int command_sub(int argc, char **argv)
{
	struct sub s = {
		.session = {.to = {.host = "127.0.0.1", .port = "3101"},
			    .heartbeat_ns = HEARTBEAT_NS,
			    .reconnect = true},
		.identity = {.dialect = DIALECT_V2, .platform = "cli", .n_accepts = 1},
		.accepts = {1000},
	};
	int code, rc;

	s.identity.accepts = s.accepts;
	if ((code = read_arguments(&s, argc, argv)) >= 0)
		goto free_token;
	s.session.deadline_ns = s.timeout_ns > 0 ? clock_now_ns() + s.timeout_ns : NEVER;
	if ((rc = open_signals(&s.session.to.cancel_fd)) < 0) {
		fprintf(stderr, "comet-cli: no descriptor for signals: %s\n", err_text(rc));
		code = EXIT_REFUSED;
		goto free_token;
	}
	code = exit_code(session_hold(&s.session));
	close(s.session.to.cancel_fd);

free_token:
	free(s.made_token);
	return code;
}
