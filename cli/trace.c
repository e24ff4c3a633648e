/* trace: have the steps of a user's or key's connections written to the logs for a time. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/printer.h"
#include "cli/query.h"

struct trace {
	struct api_options api;
	const char *span;
};

enum { OPT_FOR = 256 };

static const struct cli_option options[] = {
	{"for", 0, OPT_FOR, "TIME", NULL, "for how long, such as 90s, 5m or 1h (5m); 0 ends it"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options] user NAME", "all connections of this user, by name or number"},
	{"[options] key KEY", "this connection"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct trace *t = arg;

	if (option != OPT_FOR)
		return api_take_option(&t->api, option);
	t->span = optarg;
	return true;
}

/* Where to look. */
static void print_places(const json_t *data)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(data, "connections"), i, one)
	{
		fputs("key ", stdout);
		printer_word(stdout, api_string(one, "key"));
		fputs(" is on ", stdout);
		printer_word(stdout, api_string(one, "comet"));
		(void)puts("");
	}
	json_array_foreach(json_object_get(data, "silent"), i, one)
	{
		printer_word(stdout, json_string_value(one));
		(void)puts(" did not answer, and traces nothing");
	}
}

static int tell(const struct trace *t, const json_t *data)
{
	const size_t n = json_array_size(json_object_get(data, "connections"));

	if (t->api.json)
		return api_print_json(data);
	if (strcmp(t->span, "0") == 0)
		printf("traced no longer\n");
	else
		printf("traced for %s, %zu connection%s now: grep ' trace ' in the logs of the comets\n", t->span, n,
		       n == 1 ? "" : "s");
	print_places(data);
	return api_printed();
}

static int trace(const struct trace *t, int n, char **words)
{
	struct query q;
	json_t *data;
	int code;

	if (n != 2 || (strcmp(words[0], "key") != 0 && strcmp(words[0], "user") != 0))
		return argument_wrong("trace", "whom? user NAME or key KEY");
	query_begin(&q, "/goim/trace");
	query_add(&q, strcmp(words[0], "key") == 0 ? "keys" : "users", words[1]);
	query_add(&q, "for", t->span);
	if ((code = api_call(&t->api, query_end(&q), "", 0, &data)) != EXIT_OK)
		return code;
	code = tell(t, data);
	json_decref(data);
	return code;
}

static int run(int argc, char **argv)
{
	struct trace t = {.span = "5m"};
	int code;

	if ((code = api_options_read(&t.api, &command_trace, argc, argv, take_option, &t)) >= 0)
		return code;
	return trace(&t, argc - optind, argv + optind);
}

const struct cli_command command_trace = {
	.name = "trace",
	.summary = "have a client's steps written to the log for a time",
	.forms = forms,
	.targets = "user key",
	.options = {options, api_json_option, context_options, api_options_table},
	.notes = "The connections that are there and those that come are traced: each packet and each write has a line "
		 "of the level "
		 "trace in the log of its comet, or in whitelist.log, and no bodies. A comet that is started later "
		 "knows nothing of it.",
	.exits = API_EXITS,
	.examples = "  comet-cli trace user 123 --for 5m\n"
		    "  comet-cli trace key phone --for 0\n",
	.run = run,
};
