/* sub: the command line of `comet-cli sub`. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>

#include "cli/arguments.h"
#include "cli/client_setup.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/session.h"
#include "cli/session_rooms.h"
#include "common/base/clock.h"
#include "common/wire/message.h"

enum {
	OPT_COUNT = 256,
	OPT_TIMEOUT,
	OPT_HEARTBEAT,
	OPT_JSON,
	OPT_TIME,
	OPT_FORMAT,
	OPT_NO_RECONNECT,
	OPT_SINCE,
	OPT_LAST
};

static const struct cli_option options[] = {
	{"since", 0, OPT_SINCE, "N", NULL, "join --room with streams, and print what came after this position"},
	{"last", 0, OPT_LAST, "K", NULL,
	 "join --room, which may be several with commas, with streams, from the newest K messages of each on"},
	{"count", 0, OPT_COUNT, "N", NULL, "leave after N messages"},
	{"timeout", 0, OPT_TIMEOUT, "TIME", NULL, "leave with code 4 after this time: 10, 500ms, 5m"},
	{"heartbeat", 0, OPT_HEARTBEAT, "TIME", NULL, "send a heartbeat this often (30s)"},
	{"json", 0, OPT_JSON, NULL, NULL,
	 "print each message as a JSON object: op, ver, seq, and body or body_base64; with streams room and number"},
	{"time", 0, OPT_TIME, NULL, NULL, "print when each message came, in UTC; with --json as time"},
	{"format", 0, OPT_FORMAT, "TEXT", NULL,
	 "print this for each message: %t when it came, %o its op, %r its room and %n its number (with streams), %b "
	 "its body, "
	 "%% a %"},
	{"no-reconnect", 0, OPT_NO_RECONNECT, NULL, NULL, "leave when the connection is lost"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options] [URL]", "URL replaces --host and --port: tcp://HOST:PORT, tls://HOST:PORT, ws://HOST:PORT/sub or "
			    "wss://HOST:PORT/sub"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct session_options *session = arg;

	switch (option) {
	case OPT_COUNT:
		return argument_i64("--count", optarg, 1, INT64_MAX, &session->count);
	case OPT_TIMEOUT:
		return argument_time("--timeout", optarg, &session->timeout_ns);
	case OPT_HEARTBEAT:
		return argument_time("--heartbeat", optarg, &session->heartbeat_ns);
	case OPT_JSON:
		session->style.json = true;
		return true;
	case OPT_TIME:
		session->style.times = true;
		return true;
	case OPT_FORMAT:
		session->style.format = optarg;
		return true;
	case OPT_SINCE:
		return argument_i64("--since", optarg, 1, MESSAGE_NUMBERS_END - 1, &session->since);
	case OPT_LAST:
		session->has_last = true;
		return argument_i64("--last", optarg, 0, INT32_MAX, &session->last);
	case OPT_NO_RECONNECT:
		session->reconnect = false;
		return true;
	default:
		return client_setup_take(&session->who, option);
	}
}

/* With a position, or with several rooms, they are joined with streams; else it is the one of AUTH. -1 to go on, otherwise the exit code. */
static int choose_rooms(struct session_options *session)
{
	struct client_identity *who = &session->who.identity;
	const bool several = who->room != NULL && session_rooms_are_several(who->room);

	if (session->since == 0 && !session->has_last && !several)
		return -1;
	if (who->room == NULL)
		return argument_wrong("sub", "--since and --last are for a --room");
	if (session->since > 0 && several)
		return argument_wrong("sub", "--since is the position of one room");
	if (who->dialect == DIALECT_V1)
		return argument_wrong("sub", "clients of the first version (--v1) know no streams");
	session->rooms = who->room;
	who->room = NULL;
	who->streams = true;
	return -1;
}

/* -1 to go on, otherwise the exit code. */
static int read_arguments(struct session_options *session, int argc, char **argv)
{
	int code, n;

	if ((code = command_read(&command_sub, argc, argv, take_option, session)) >= 0)
		return code;
	if ((n = argc - optind) > 1)
		return argument_wrong("sub", "what is \"%s\"? There is one URL", argv[optind + 1]);
	if (session->style.format != NULL && (session->style.json || session->style.times))
		return argument_wrong("sub", "--format says all: give it without --json and --time");
	if (session->style.format != NULL && !printer_format_is_good(session->style.format))
		return argument_wrong("sub", "--format knows %%t, %%o, %%r, %%n, %%b and %%%%");
	if ((code = choose_rooms(session)) >= 0)
		return code;
	return client_setup_settle(&session->who, "sub", n == 1 ? argv[optind] : NULL);
}

static int run(int argc, char **argv)
{
	struct session_options session = {.heartbeat_ns = SESSION_HEARTBEAT_NS, .reconnect = true};
	int code;

	client_setup_init(&session.who);
	if ((code = read_arguments(&session, argc, argv)) < 0)
		code = session_run(&session);
	client_setup_fini(&session.who);
	return code;
}

const struct cli_command command_sub = {
	.name = "sub",
	.summary = "be a client, and print each message as it arrives",
	.forms = forms,
	.options = {client_setup_options, options, context_options},
	.notes =
		"Messages go to stdout, one a line and at once; all other output goes to stderr. A lost connection is "
		"opened "
		"again after up to three seconds, at random, then after longer and longer; a connection that was "
		"kicked, "
		"refused, or replaced by another one with the same key is not. A server that goes away names others: "
		"we connect "
		"to one of them, and print the last messages of the old one.\n"
		"With --since, --last, or several rooms they are joined with streams: a message has its room and its "
		"number before its body, what is missed meanwhile comes when the connection is back, and a gap is told "
		"where it is not there any more. A --token has to ask for streams itself.",
	.exits = "Exit code: 0 count reached, SIGINT or SIGTERM; 1 refused, or closed with --no-reconnect; 2 wrong "
		 "command line; "
		 "3 nobody answers at that address; 4 timed out after --timeout.",
	.examples = "  comet-cli sub --mid 123 --room live://1000\n"
		    "  comet-cli sub ws://127.0.0.1:3102/sub --mid 123\n"
		    "Several rooms, and what was said in them last:\n"
		    "  comet-cli sub --mid 123 --room chat://1,chat://2 --last 10\n"
		    "One message, as a script would take it:\n"
		    "  comet-cli sub --mid 123 --count 1 --json --timeout 60\n"
		    "  comet-cli sub --mid 123 --format '%t %b'\n",
	.run = run,
};
