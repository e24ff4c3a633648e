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
	const char *span; /* or NULL */
};

enum { OPT_ONE = 256, OPT_FOR };

static const struct cli_option options[] = {
	{"one", 0, OPT_ONE, NULL, NULL, "with key and user: one name, and a comma is a part of it"},
	{"for", 0, OPT_FOR, "TIME", NULL, "keep them out, too, for so long: 90s, 15m, 1h, 7d"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options] key KEY[,KEY...]", "these connections"},
	{"[options] mid MID[,MID...]", "all connections of these users"},
	{"[options] user NAME[,NAME...]", "the same by name"},
	{"[options] network NET[,NET...] --for TIME", "all from these addresses, such as 203.0.113.7 or 2001:db8::/32"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct kick *k = arg;

	switch (option) {
	case OPT_ONE:
		k->one = true;
		return true;
	case OPT_FOR:
		k->span = optarg;
		return true;
	default:
		return api_take_option(&k->api, option);
	}
}

/* EXIT_OK, or EXIT_USAGE, which was said. */
static int add_whom(const struct kick *k, struct query *q, int n, char **words)
{
	const char *wrong = "";

	if (n == 2)
		wrong = query_add_whom(q, command_kick.targets, words, k->one);
	if (wrong == NULL && k->span == NULL && strcmp(words[0], "network") == 0)
		return argument_wrong("kick", "a network is kept out: --for says how long");
	if (wrong == NULL)
		return EXIT_OK;
	if (n == 2 && wrong == words[1])
		return argument_wrong("kick", "\"%s\" names nobody", wrong);
	return argument_wrong("kick", "whom? key KEY, mid MID, user NAME or network NET");
}

static void tell(const struct kick *k, const json_t *data)
{
	const long long n = api_number(data, "banned");

	if (k->span == NULL)
		told_kick(stdout, data);
	else
		printf("%lld %s kept out for %s\n", n, n == 1 ? "is" : "are", k->span);
}

static int kick(const struct kick *k, int n, char **words)
{
	struct query q;
	json_t *data;
	int code;

	query_begin(&q, "/goim/kick");
	if ((code = add_whom(k, &q, n, words)) != EXIT_OK) {
		free(query_end(&q));
		return code;
	}
	if (k->span != NULL)
		query_add(&q, "for", k->span);
	code = api_call(&k->api, query_end(&q), "", 0, &data);
	if (code == EXIT_OK && k->api.json) {
		code = api_print_json(data);
	} else if (code == EXIT_OK) {
		tell(k, data);
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
	.targets = "key mid user network",
	.options = {options, api_json_option, context_options, api_options_table},
	.notes = "Each connection is told that it was kicked before it is closed. Their number goes to stdout. It is "
		 "no error if nobody of that name is online. With --for they cannot come back until the time is over, "
		 "and the number "
		 "is that of the names; comet-cli bans lists and lifts such bans.",
	.exits = API_EXITS,
	.examples = "  comet-cli kick mid 123\n"
		    "  comet-cli kick key door-1,door-2\n"
		    "  comet-cli kick mid 123 --for 15m\n"
		    "  comet-cli kick network 203.0.113.7,2001:db8::/32 --for 1h\n"
		    "  comet-cli kick --one user 'CN=Ann,O=Example'\n",
	.run = run,
};
