/* send: the command line of `comet-cli send`: a client that sends one packet and waits for its answer. SPDX-License-Identifier: MIT
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/client_setup.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/session.h"
#include "common/base/clock.h"

#define TIMEOUT_NS (10 * CLOCK_SEC)

enum { OPT_TIMEOUT = 256, OPT_JSON, OPT_FOLLOW };

static const struct cli_option options[] = {
	{"follow", 0, OPT_FOLLOW, NULL, NULL, "after the answer stay, and print messages as sub does"},
	{"timeout", 0, OPT_TIMEOUT, "TIME", NULL,
	 "leave with code 4 after this time: 10, 500ms, 5m (10s; with --follow never)"},
	{"json", 0, OPT_JSON, NULL, NULL, "print the answer as a JSON object: op, ver, seq, and body or body_base64"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options] [URL] op N MESSAGE", "a packet with this operation, for the back end (GET /goim/upstream)"},
	{"[options] [URL] room TYPE://ID", "change to this room; an empty word leaves it"},
	{"[options] [URL] sub OPS", "accept these operations, too"},
	{"[options] [URL] unsub OPS", "accept them no longer"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct session_options *session = arg;

	switch (option) {
	case OPT_TIMEOUT:
		return argument_time("--timeout", optarg, &session->timeout_ns);
	case OPT_JSON:
		session->style.json = true;
		return true;
	case OPT_FOLLOW:
		session->follows = true;
		return true;
	default:
		return client_setup_take(&session->who, option);
	}
}

/* What is to be sent. -1 to go on, otherwise the exit code. */
static int read_packet(struct session_options *session, int n, char **words)
{
	static const struct {
		const char *word;
		int n_words;
		int32_t op, reply;
	} kinds[] = {{"op", 3, 0, 0},
		     {"room", 2, OP_CHANGE_ROOM, OP_CHANGE_ROOM_REPLY},
		     {"sub", 2, OP_SUB, OP_SUB_REPLY},
		     {"unsub", 2, OP_UNSUB, OP_UNSUB_REPLY}};
	int64_t op;

	for (size_t i = 0; n > 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(words[0], kinds[i].word) != 0)
			continue;
		if (n != kinds[i].n_words)
			return argument_wrong("send", "%s takes %d words, not %d (quote a message with blanks)",
					      words[0], kinds[i].n_words - 1, n - 1);
		session->packet = words[n - 1];
		session->packet_op = kinds[i].op;
		session->reply_op = kinds[i].reply;
		if (kinds[i].op != 0)
			return -1;
		if (!argument_i64("op", words[1], 1, INT32_MAX, &op))
			return EXIT_USAGE;
		session->packet_op = session->reply_op = (int32_t)op;
		return packet_op_is_own((int32_t)op)
			       ? argument_wrong("send", "operation %s is the protocol's own", words[1])
			       : -1;
	}
	return argument_wrong("send", "what? op, room, sub or unsub");
}

/* -1 to go on, otherwise the exit code. */
static int read_arguments(struct session_options *session, int argc, char **argv)
{
	const char *url = NULL;
	int code;

	if ((code = command_read(&command_send, argc, argv, take_option, session)) >= 0)
		return code;
	if (optind < argc && strstr(argv[optind], "://") != NULL)
		url = argv[optind++];
	if ((code = read_packet(session, argc - optind, argv + optind)) >= 0)
		return code;
	if (session->who.identity.dialect == DIALECT_V1)
		return argument_wrong("send", "clients of the first version (--v1) send no such packets");
	if (session->timeout_ns == 0 && !session->follows)
		session->timeout_ns = TIMEOUT_NS;
	return client_setup_settle(&session->who, "send", url);
}

static int run(int argc, char **argv)
{
	struct session_options session = {.heartbeat_ns = SESSION_HEARTBEAT_NS};
	int code;

	client_setup_init(&session.who);
	if ((code = read_arguments(&session, argc, argv)) < 0)
		code = session_run(&session);
	client_setup_fini(&session.who);
	return code;
}

const struct cli_command command_send = {
	.name = "send",
	.summary = "be a client, send one packet, and print the answer",
	.forms = forms,
	.targets = "op room sub unsub",
	.options = {client_setup_options, options, context_options},
	.notes = "URL replaces --host and --port, as for sub. That a packet with an operation of your own was answered "
		 "says that the "
		 "server has read it, not that a back end has. A room that the client may not enter is answered by no "
		 "room, "
		 "which is code 1.",
	.exits = "Exit code: 0 answered, or with --follow SIGINT or SIGTERM; 1 refused, or closed; 2 wrong command "
		 "line; 3 nobody "
		 "answers at that address; 4 no answer in time.",
	.examples = "  comet-cli send --mid 123 op 1000 'from a client'\n"
		    "  comet-cli send wss://example.com/sub --mid 123 room live://2000\n"
		    "  comet-cli send --mid 123 --follow sub 1001,1002\n",
	.run = run,
};
