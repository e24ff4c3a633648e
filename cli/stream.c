/* stream: what rooms keep, as the HTTP API tells it. SPDX-License-Identifier: MIT */
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

static const char *asked; /* the room whose history is printed */

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

static bool print_history(const json_t *data)
{
	const json_t *newest = json_object_get(data, "newest"), *messages = json_object_get(data, "messages"), *message;
	size_t i;

	if (!json_is_integer(newest) || !json_is_array(messages))
		return false;
	if (json_integer_value(newest) == 0)
		fprintf(stderr, "comet-cli: %s is not numbered: nothing is kept of it\n", asked);
	else if (json_is_true(json_object_get(data, "gap")))
		fprintf(stderr, "comet-cli: gap in %s: something is missing; it goes on after %lld\n", asked,
			api_number(data, "at"));
	json_array_foreach(messages, i, message)
	{
		if (!print_message(message))
			return false;
	}
	return true;
}

/* ---- asking ---- */

static int ask_history(const struct stream *s, int n, char **words)
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
	if (s->since >= 0)
		query_add_number(&q, "since", s->since);
	if (s->last >= 0)
		query_add_number(&q, "last", s->last);
	return api_show(&s->api, query_end(&q), print_history);
}

static int ask_positions(const struct stream *s, int n, char **words)
{
	const char *wrong;
	struct query q;

	if (n == 0)
		return argument_wrong("stream", "position of which room? TYPE://ID");
	query_begin(&q, "/goim/stream/position");
	if ((wrong = query_add_rooms(&q, "rooms", n, words)) != NULL) {
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
	return argc > 0 && strcmp(argv[0], "position") == 0 ? ask_positions(&s, argc - 1, argv + 1)
							    : ask_history(&s, argc, argv);
}

const struct cli_command command_stream = {
	.name = "stream",
	.summary = "show what a room keeps of its pushes",
	.forms = forms,
	.targets = "position",
	.options = {options, api_json_option, context_options, api_options_table},
	.notes = "A message is one line: its operation, its room, its number and its body. Where --since is a gap that "
		 "is "
		 "said on stderr, and nothing is printed without --last. Rooms of the types in stream.rooms keep "
		 "theirs.",
	.exits = API_EXITS,
	.examples = "  comet-cli stream chat://1\n"
		    "  comet-cli stream chat://1 --last 10\n"
		    "  comet-cli stream position chat://1 chat://2\n",
	.run = run,
};
