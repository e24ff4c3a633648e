/* kick: close connections through the HTTP API; each is told why by op 6. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/query.h"
#include "cli/told.h"

struct kick {
	struct api_options api;
	bool one;
};

enum { OPT_ONE = 256 };

static const struct cli_option options[] = {
	{"one", 0, OPT_ONE, NULL, NULL, "with key and user: one name, and a comma is a part of it"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options] key KEY[,KEY...]", "these connections"},
	{"[options] mid MID[,MID...]", "all connections of these users"},
	{"[options] user NAME[,NAME...]", "the same by name"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct kick *k = arg;

	if (option != OPT_ONE)
		return api_take_option(&k->api, option);
	k->one = true;
	return true;
}

static int kick(const struct kick *k, int n, char **words)
{
	char param[8];
	struct query q;
	json_t *data;
	int code;

	if (n != 2 || (strcmp(words[0], "key") != 0 && strcmp(words[0], "mid") != 0 && strcmp(words[0], "user") != 0))
		return argument_wrong("kick", "whom? key KEY, mid MID or user NAME");
	(void)snprintf(param, sizeof(param), "%ss", words[0]);
	query_begin(&q, "/goim/kick");
	if (query_add_list(&q, param, words[1], k->one) == 0) {
		free(query_end(&q));
		return argument_wrong("kick", "\"%s\" names nobody", words[1]);
	}
	code = api_call(&k->api, query_end(&q), "", 0, &data);
	if (code == EXIT_OK && k->api.json) {
		code = api_print_json(data);
	} else if (code == EXIT_OK) {
		told_kick(stdout, data);
		code = api_printed();
	}
	json_decref(data);
	return code;
}

static int run(int argc, char **argv)
{
	struct kick k = {.one = false};
	int code;

	if ((code = api_options_read(&k.api, &command_kick, argc, argv, take_option, &k)) >= 0)
		return code;
	return kick(&k, argc - optind, argv + optind);
}

const struct cli_command command_kick = {
	.name = "kick",
	.summary = "close connections",
	.forms = forms,
	.targets = "key mid user",
	.options = {options, api_json_option, context_options, api_options_table},
	.notes = "Each connection is told that it was kicked before it is closed. Their number goes to stdout. It is "
		 "no error if "
		 "nobody of that name is online.",
	.exits = API_EXITS,
	.examples = "  comet-cli kick mid 123\n"
		    "  comet-cli kick key door-1,door-2\n"
		    "  comet-cli kick --one user 'CN=Ann,O=Example'\n",
	.run = run,
};
