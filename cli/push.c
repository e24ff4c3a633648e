/* push: send a message to connections, users, a room or everybody, through the HTTP API. SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/push_batch.h"
#include "cli/query.h"
#include "cli/told.h"
#include "common/base/err.h"
#include "common/base/obj.h"

#define STDIN_MAX (64u << 20)

struct push {
	struct api_options api;
	const char *batch; /* a file with many, or NULL */
	int64_t op;
	bool offline, one;
	int64_t speed;       /* deliveries a second, for `all` */
	const char *confirm; /* for users, as the API takes it; or NULL */
	bool is_special;     /* one of the options of one push was there */
	const char *target, *whom, *message;
	char *read_message; /* where it came from stdin */
	size_t message_bytes;
};

/* All of stdin. 0 or -errno; a message longer than STDIN_MAX is -EMSGSIZE. */
static int read_stdin(char **out, size_t *out_bytes)
{
	size_t n = 0, cap = 0;
	char *text = NULL;

	for (;;) {
		ssize_t got;

		if (n == cap) {
			char *more = realloc(text, cap = cap > 0 ? 2 * cap : 4096);

			if (more == NULL) {
				free(text);
				return -ENOMEM;
			}
			text = more;
		}
		got = read(STDIN_FILENO, text + n, cap - n);
		if (got == 0)
			break;
		if ((got < 0 && errno != EINTR) || n > STDIN_MAX) {
			int rc = got < 0 ? -errno : -EMSGSIZE;

			free(text);
			return rc;
		}
		n += got > 0 ? (size_t)got : 0;
	}
	*out = text;
	*out_bytes = n;
	return 0;
}

enum { OPT_OP = 256, OPT_SPEED, OPT_CONFIRM, OPT_OFFLINE, OPT_ONE, OPT_BATCH };

static const struct cli_option options[] = {
	{"op", 0, OPT_OP, "N", NULL,
	 "its operation (1000); a client gets it if it accepts that one, or if it is a room's"},
	{"speed", 0, OPT_SPEED, "N", NULL, "with all: at most N deliveries a second, 0 for no limit (0)"},
	{"confirm", 0, OPT_CONFIRM, "TIME", NULL,
	 "with mid and user: GET /goim/events tells of it if no device has confirmed it by then, such as 30s"},
	{"offline", 0, OPT_OFFLINE, NULL, NULL, "with key, mid and user: list who was offline"},
	{"one", 0, OPT_ONE, NULL, NULL, "with key and user: one name, and a comma is a part of it"},
	{"batch", 0, OPT_BATCH, "FILE", COMMAND_FILES,
	 "many pushes: what POST /goim/batch takes, from the file, or from stdin if it is -"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options] key KEY[,KEY...] MESSAGE", "to connections"},
	{"[options] mid MID[,MID...] MESSAGE", "to users, on all their connections"},
	{"[options] user NAME[,NAME...] MESSAGE", "to users by name"},
	{"[options] room TYPE://ID MESSAGE", "to everybody in a room"},
	{"[options] all MESSAGE", "to everybody"},
	{"[options] --batch FILE", "many pushes, each a line of JSON"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct push *p = arg;

	p->is_special = p->is_special || (option >= OPT_OP && option <= OPT_ONE);
	switch (option) {
	case OPT_OP:
		return argument_i64("--op", optarg, 1, INT32_MAX, &p->op);
	case OPT_SPEED:
		return argument_i64("--speed", optarg, 0, INT32_MAX, &p->speed);
	case OPT_CONFIRM:
		p->confirm = optarg;
		return true;
	case OPT_OFFLINE:
		p->offline = true;
		return true;
	case OPT_ONE:
		p->one = true;
		return true;
	case OPT_BATCH:
		p->batch = optarg;
		if (p->api.timeout_ns == 0)
			p->api.timeout_ns = PUSH_BATCH_TIMEOUT_NS;
		return true;
	default:
		return api_take_option(&p->api, option);
	}
}

/* Target, whom and message. -1 to go on, otherwise the exit code. */
static int read_words(struct push *p, int n, char **words)
{
	bool all = n > 0 && strcmp(words[0], "all") == 0;

	if (n == 0)
		return argument_wrong("push", "to whom? key, mid, user, room or all");
	p->target = words[0];
	if (!all && strcmp(p->target, "key") != 0 && strcmp(p->target, "mid") != 0 && strcmp(p->target, "user") != 0 &&
	    strcmp(p->target, "room") != 0)
		return argument_wrong("push", "to whom is \"%s\"? It takes key, mid, user, room or all", p->target);
	if (n != (all ? 2 : 3))
		return argument_wrong("push", "%s takes %s, not %d words (quote a message with blanks)", p->target,
				      all ? "a message" : "a name and a message", n - 1);
	if (p->confirm != NULL && strcmp(p->target, "mid") != 0 && strcmp(p->target, "user") != 0)
		return argument_wrong("push", "--confirm goes with mid and user, not with %s", p->target);
	p->whom = all ? NULL : words[1];
	p->message = words[n - 1];
	p->message_bytes = strlen(p->message);
	return -1;
}

/* -1 to go on, otherwise the exit code. */
static int read_arguments(struct push *p, int argc, char **argv)
{
	int code, rc;

	if ((code = api_options_read(&p->api, &command_push, argc, argv, take_option, p)) >= 0)
		return code;
	if (p->batch != NULL && (p->is_special || argc > optind))
		return argument_wrong("push", "with --batch each line says to whom, and with which operation");
	if (p->batch != NULL)
		return -1;
	if ((code = read_words(p, argc - optind, argv + optind)) >= 0)
		return code;
	if (strcmp(p->message, "-") != 0)
		return -1;
	if ((rc = read_stdin(&p->read_message, &p->message_bytes)) < 0) {
		fprintf(stderr, "comet-cli: cannot read the message: %s\n", err_text(rc));
		return EXIT_REFUSED;
	}
	p->message = p->read_message;
	return -1;
}

/* Push, and say what became of it; n names that are each a `who`. */
static int call(const struct push *p, char *path, const char *who, unsigned n)
{
	json_t *data;
	int code = api_call(&p->api, path, p->message, p->message_bytes, &data);

	if (code == EXIT_OK && p->api.json) {
		code = api_print_json(data);
	} else if (code == EXIT_OK) {
		told_push(stdout, data, p->op, who, n);
		code = api_printed();
	}
	json_decref(data);
	return code;
}

static int push_list(const struct push *p, const char *path, const char *who)
{
	char param[8];
	struct query q;
	unsigned n;

	(void)snprintf(param, sizeof(param), "%ss", who);
	query_begin(&q, path);
	query_add_number(&q, "operation", p->op);
	if (p->offline)
		query_add_number(&q, "offline", 1);
	if (p->confirm != NULL)
		query_add(&q, "confirm", p->confirm);
	if ((n = query_add_list(&q, param, p->whom, p->one)) == 0) {
		free(query_end(&q));
		return argument_wrong("push", "\"%s\" names nobody", p->whom);
	}
	return call(p, query_end(&q), who, n);
}

static int push_room(const struct push *p)
{
	struct query q;

	BUG_UNLESS(p->whom != NULL); /* only `all` does without, see read_words() */
	query_begin(&q, "/goim/push/room");
	query_add_number(&q, "operation", p->op);
	if (!query_add_room(&q, "room", p->whom)) {
		free(query_end(&q));
		return argument_wrong("push", "a room is TYPE://ID, such as live://1000, not \"%s\"", p->whom);
	}
	return call(p, query_end(&q), "room", 1);
}

static int push_all(const struct push *p)
{
	struct query q;

	query_begin(&q, "/goim/push/all");
	query_add_number(&q, "operation", p->op);
	query_add_number(&q, "speed", p->speed);
	return call(p, query_end(&q), "", 0);
}

static int push_to(const struct push *p)
{
	if (p->batch != NULL)
		return push_batch(&p->api, p->batch);
	switch (p->target[0]) {
	case 'k':
		return push_list(p, "/goim/push/keys", "key");
	case 'm':
		return push_list(p, "/goim/push/mids", "mid");
	case 'u':
		return push_list(p, "/goim/push/users", "user");
	case 'r':
		return push_room(p);
	default:
		return push_all(p);
	}
}

static int run(int argc, char **argv)
{
	struct push p = {.api = {.tell = true}, .op = 1000};
	int code;

	if ((code = read_arguments(&p, argc, argv)) < 0)
		code = push_to(&p);
	free(p.read_message);
	return code;
}

const struct cli_command command_push = {
	.name = "push",
	.summary = "send a message through the HTTP API",
	.forms = forms,
	.targets = "key mid user room all",
	.options = {options, api_json_option, context_options, api_options_table},
	.notes =
		"MESSAGE is the body, as it is; - reads it from stdin, to its end; after -- it may begin with a dash.\n"
		"A push to somebody who is offline is not an error; it is not delivered later. How many connections it "
		"is for goes to stdout, and how many of them do not accept its operation, as far as the server tells "
		"that to this API key.\n"
		"A line of a batch has the parameters of one push, of which one of keys, mids, users, room with type, "
		"and "
		"all says to whom. Each that is refused is said on stderr with its number, and the others are pushed. "
		"--json prints the answer to each line. The lines go in several calls, with 30s for each.",
	.exits = API_EXITS,
	.examples = "  comet-cli push mid 123 '{\"hello\":\"123\"}'\n"
		    "  comet-cli push --confirm 30s user ann 'your taxi is here'\n"
		    "  comet-cli push room live://1000 '{\"hello\":\"room\"}'\n"
		    "  date | comet-cli push --op 1001 all -\n"
		    "  echo '{\"operation\":1000,\"mids\":7,\"body\":\"hello\"}' | comet-cli push --batch -\n",
	.run = run,
};
