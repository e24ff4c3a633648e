/* bans: who is kept out, as the HTTP API lists them, and their end. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/query.h"
#include "cli/table.h"
#include "common/wire/ban.h"

struct bans {
	struct api_options api;
	bool one;
};

/* ---- the list ---- */

static const struct table_column columns[] = {{"KIND", false}, {"WHO", false}, {"UNTIL", false}, {NULL, false}};

/* The API names who is kept out by the kind. False: it is none that we know. */
static bool add_row(struct table *t, const json_t *ban)
{
	static const char *const kinds[] = {"user", "key", "network", "tokens"};
	char until[BAN_TIME_BYTES];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (json_object_get(ban, kinds[i]) == NULL)
			continue;
		ban_time(api_number(ban, "until") * 1000, until);
		table_text(t, kinds[i]);
		table_text(t, api_string(ban, kinds[i]));
		table_text(t, until);
		return true;
	}
	return false;
}

static bool print_bans(const json_t *data)
{
	struct table t = {.columns = columns};
	bool good = json_is_array(data);
	const json_t *ban;
	unsigned rows;
	size_t i;

	json_array_foreach(data, i, ban)
	{
		good = good && add_row(&t, ban);
	}
	return good && table_print(stdout, &t, table_terminal(&rows), SIZE_MAX);
}

/* ---- their end ---- */

static int lift(struct bans *b, int n, char **words)
{
	const char *wrong = "";
	struct query q;
	json_t *data;
	int code;

	query_begin(&q, "/goim/bans");
	if (n == 2)
		wrong = query_add_whom(&q, "key mid user network tokens", words, b->one);
	if (wrong != NULL) {
		free(query_end(&q));
		if (n == 2 && wrong == words[1])
			return argument_wrong("bans", "\"%s\" names nobody", wrong);
		return argument_wrong("bans", "lift whose? key KEY, mid MID, user NAME, network NET or tokens NAME");
	}
	b->api.deletes = true;
	if ((code = api_call(&b->api, query_end(&q), NULL, 0, &data)) == EXIT_OK && b->api.json)
		code = api_print_json(data);
	json_decref(data);
	return code;
}

/* ---- the command ---- */

enum { OPT_ONE = 256 };

static const struct cli_option options[] = {
	{"one", 0, OPT_ONE, NULL, NULL, "with lift: one name, and a comma is a part of it"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options]", "who is kept out, and until when"},
	{"[options] lift key KEY[,KEY...]", "let these keys in again"},
	{"[options] lift mid MID[,MID...]", "these users"},
	{"[options] lift user NAME[,NAME...]", "the same by name"},
	{"[options] lift network NET[,NET...]", "these networks, as they are listed"},
	{"[options] lift tokens NAME[,NAME...]", "let the tokens of these users count that were taken back"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct bans *b = arg;

	if (option != OPT_ONE)
		return api_take_option(&b->api, option);
	b->one = true;
	return true;
}

static int run(int argc, char **argv)
{
	struct bans b = {.one = false};
	struct query q;
	int code;

	if ((code = api_options_read(&b.api, &command_bans, argc, argv, take_option, &b)) >= 0)
		return code;
	if (optind < argc && strcmp(argv[optind], "lift") == 0)
		return lift(&b, argc - optind - 1, argv + optind + 1);
	if (optind < argc)
		return argument_wrong("bans", "what is \"%s\"? It takes no word, or lift", argv[optind]);
	query_begin(&q, "/goim/bans");
	return api_show(&b.api, query_end(&q), print_bans);
}

const struct cli_command command_bans = {
	.name = "bans",
	.summary = "list who is kept out, or let them in again",
	.forms = forms,
	.targets = "lift",
	.options = {options, api_json_option, context_options, api_options_table},
	.notes = "comet-cli kick --for makes them. It is no error to lift a ban that nobody has.",
	.exits = API_EXITS,
	.examples = "  comet-cli bans\n"
		    "  comet-cli bans lift mid 123\n"
		    "  comet-cli bans lift network 203.0.113.7,2001:db8::/32\n",
	.run = run,
};
