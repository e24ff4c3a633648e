/* stream: what is kept of the pushes to rooms and to users, as the HTTP API tells it. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/printer.h"
#include "cli/query.h"
#include "common/wire/message.h"

struct stream {
	struct api_options api;
	int64_t since, last; /* -1: not said */
};

/* Whose stream is printed: a room, or "" and a user. */
static const char *asked, *asked_user;

/* The bytes of a body in hex, malloc'ed; NULL: no memory, or it is none. */
static uint8_t *unhex(const char *hex, size_t *n)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t *bytes = malloc(strlen(hex) / 2 + 1);

	*n = 0;
	for (; bytes != NULL && hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
		const char *high = strchr(digits, hex[0]), *low = strchr(digits, hex[1]);

		if (high == NULL || low == NULL)
			break;
		bytes[(*n)++] = (uint8_t)((high - digits) << 4 | (low - digits));
	}
	if (bytes != NULL && hex[0] != '\0') {
		free(bytes);
		bytes = NULL;
	}
	return bytes;
}

/* As `sub` prints it. False: it is not as the API promises. */
static bool print_message(const json_t *message)
{
	const json_t *n = json_object_get(message, "n"), *op = json_object_get(message, "op");
	const char *hex = json_string_value(json_object_get(message, "body_hex"));
	const json_t *body = json_object_get(message, "body");
	size_t bytes = hex == NULL ? json_string_length(body) : 0;
	uint8_t *raw = hex != NULL ? unhex(hex, &bytes) : NULL;
	struct packet p = {.op = (int32_t)json_integer_value(op)};
	const bool good =
		json_is_integer(n) && json_is_integer(op) && (hex != NULL ? raw != NULL : json_is_string(body));

	if (good) {
		p.body = hex != NULL ? raw : (uint8_t *)json_string_value(body);
		p.body_bytes = (uint32_t)bytes;
		printer_text(stdout, &p, NULL, &(struct printer_place){asked, json_integer_value(n)});
	}
	free(raw);
	return good;
}

/* On stderr: "comet-cli: " and words around whose stream it is. */
static void say(const char *before, const char *behind)
{
	fprintf(stderr, "comet-cli: %s%s", before, asked_user != NULL ? "the stream of user " : "");
	printer_word(stderr, asked_user != NULL ? asked_user : asked);
	fprintf(stderr, "%s", behind);
}

static void say_unkept(void)
{
	say("",
	    asked_user != NULL ? " is not kept: is stream.users set?\n" : " is not numbered: nothing is kept of it\n");
}

static bool print_history(const json_t *data)
{
	const json_t *newest = json_object_get(data, "newest"), *messages = json_object_get(data, "messages"), *message;
	size_t i;

	if (!json_is_integer(newest) || !json_is_array(messages))
		return false;
	if (json_integer_value(newest) == 0) {
		say_unkept();
	} else if (json_is_true(json_object_get(data, "gap"))) {
		say("gap in ", ": something is missing; it goes on after ");
		fprintf(stderr, "%lld\n", api_number(data, "at"));
	}
	json_array_foreach(messages, i, message)
	{
		if (!print_message(message))
			return false;
	}
	return true;
}

/* Each key that has confirmed something, the position, and how many pushes came since. */
static bool print_acks(const json_t *data)
{
	const json_t *newest = json_object_get(data, "at"), *keys = json_object_get(data, "keys");
	const json_int_t at = json_integer_value(newest);
	const char *key;
	json_t *number;

	if (!json_is_integer(newest) || !json_is_object(keys))
		return false;
	if (at == 0) {
		say_unkept();
	} else if (json_object_size(keys) == 0) {
		say("nobody has confirmed anything of ", ", whose newest number is ");
		fprintf(stderr, "%lld\n", (long long)at);
	}
	/* As in api_print_numbers. */
	json_object_foreach((json_t *)keys, key, number)
	{
		const json_int_t acked = json_integer_value(number);

		if (!json_is_integer(number))
			return false;
		printer_word(stdout, key);
		printf(" %lld %lld\n", (long long)acked, (long long)(at > acked ? at - acked : 0));
	}
	return true;
}

/* ---- asking ---- */

static int ask_history(const struct stream *s, struct query *q)
{
	if (s->since >= 0)
		query_add_number(q, "since", s->since);
	if (s->last >= 0)
		query_add_number(q, "last", s->last);
	return api_show(&s->api, query_end(q), print_history);
}

static int ask_room(const struct stream *s, int n, char **words)
{
	struct query q;

	if (n != 1)
		return argument_wrong("stream", "which room? TYPE://ID, one of them");
	asked = words[0];
	query_begin(&q, "/goim/stream");
	if (!query_add_room(&q, "room", words[0])) {
		free(query_end(&q));
		return argument_wrong("stream", "a room is TYPE://ID, not \"%s\"", words[0]);
	}
	return ask_history(s, &q);
}

static int ask_user(const struct stream *s, int n, char **words)
{
	const bool of_acks = n > 0 && strcmp(words[0], "acks") == 0;
	struct query q;

	if (n != (of_acks ? 3 : 2) || (of_acks && strcmp(words[1], "user") != 0))
		return argument_wrong("stream", "of which user? %suser USER, one of them", of_acks ? "acks " : "");
	asked = "";
	asked_user = words[n - 1];
	query_begin(&q, of_acks ? "/goim/stream/acks" : "/goim/stream");
	query_add(&q, "user", asked_user);
	return of_acks ? api_show(&s->api, query_end(&q), print_acks) : ask_history(s, &q);
}

static int ask_positions(const struct stream *s, int n, char **words)
{
	const bool of_users = n > 0 && strcmp(words[0], "user") == 0;
	const char *wrong = NULL;
	struct query q;

	if (n == (of_users ? 1 : 0))
		return argument_wrong("stream", "position of what? TYPE://ID, or user USER");
	query_begin(&q, "/goim/stream/position");
	for (int i = 1; of_users && i < n; i++)
		query_add(&q, "users", words[i]);
	if (!of_users && (wrong = query_add_rooms(&q, "rooms", n, words)) != NULL) {
		free(query_end(&q));
		return argument_wrong("stream", "rooms are TYPE://ID, all of one type, not \"%s\"", wrong);
	}
	return api_show(&s->api, query_end(&q), api_print_numbers);
}

enum { OPT_SINCE = 256, OPT_LAST };

static const struct cli_option options[] = {
	{"since", 0, OPT_SINCE, "N", NULL, "what came after this position"},
	{"last", 0, OPT_LAST, "K", NULL, "the newest K messages; with --since only if that is a gap"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options] TYPE://ID", "what is kept of the pushes to a room, as sub prints it"},
	{"[options] position TYPE://ID [TYPE://ID...]",
	 "the number of the newest push to each of these rooms, all of one type"},
	{"[options] user USER", "the same of a user, by number or name"},
	{"[options] position user USER [USER...]", "and of several users"},
	{"[options] acks user USER", "what each key of the user has confirmed, and how many pushes came since"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct stream *s = arg;

	switch (option) {
	case OPT_SINCE:
		return argument_i64("--since", optarg, 0, MESSAGE_NUMBERS_END - 1, &s->since);
	case OPT_LAST:
		return argument_i64("--last", optarg, 0, INT32_MAX, &s->last);
	default:
		return api_take_option(&s->api, option);
	}
}

static int run(int argc, char **argv)
{
	struct stream s = {.since = -1, .last = -1};
	int code;

	if ((code = api_options_read(&s.api, &command_stream, argc, argv, take_option, &s)) >= 0)
		return code;
	argc -= optind;
	argv += optind;
	if (argc > 0 && strcmp(argv[0], "position") == 0)
		return ask_positions(&s, argc - 1, argv + 1);
	if (argc > 0 && (strcmp(argv[0], "user") == 0 || strcmp(argv[0], "acks") == 0))
		return ask_user(&s, argc, argv);
	return ask_room(&s, argc, argv);
}

const struct cli_command command_stream = {
	.name = "stream",
	.summary = "show what is kept of the pushes to a room or a user",
	.forms = forms,
	.targets = "position user acks",
	.options = {options, api_json_option, context_options, api_options_table},
	.notes = "A message is one line: its operation, its room (- for a user's), its number and its body. Where "
		 "--since "
		 "is a gap that is said on stderr, and nothing is printed without --last. Rooms of the types in "
		 "stream.rooms keep theirs, users where stream.users is set.",
	.exits = API_EXITS,
	.examples = "  comet-cli stream chat://1\n"
		    "  comet-cli stream chat://1 --last 10\n"
		    "  comet-cli stream position chat://1 chat://2\n"
		    "  comet-cli stream user 123\n"
		    "  comet-cli stream acks user 123\n",
	.run = run,
};
