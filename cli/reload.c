/* reload: have a server read its files and live settings again, and tell what came of it. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/query.h"

struct reload {
	struct api_options api;
	bool json;
};

enum { OPT_JSON = 256 };

static const struct cli_option options[] = {
	{"json", 0, OPT_JSON, NULL, NULL, "print the answer's data as the server sent them"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options]", "as SIGHUP does"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct reload *r = arg;

	if (option != OPT_JSON)
		return api_take_option(&r->api, option);
	r->json = true;
	return true;
}

static void print_list(const json_t *data, const char *member, const char *words)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(data, member), i, one)
	{
		printf("%s %s\n", words, json_string_value(one));
	}
}

static int reload(const struct reload *r)
{
	struct query q;
	json_t *data;
	int code;

	query_begin(&q, "/goim/reload");
	if ((code = api_call(&r->api, query_end(&q), "", 0, &data)) != EXIT_OK)
		return code;
	if (r->json) {
		code = api_print_json(data);
	} else {
		print_list(data, "read", "read");
		print_list(data, "changed", "changed");
		print_list(data, "needs_restart", "needs a restart:");
		code = api_printed();
	}
	json_decref(data);
	return code;
}

static int run(int argc, char **argv)
{
	struct reload r = {.json = false};
	int code;

	api_options_init(&r.api);
	if ((code = command_read(&command_reload, argc, argv, take_option, &r)) >= 0)
		return code;
	if (!api_options_settle(&r.api))
		return EXIT_USAGE;
	return optind == argc ? reload(&r) : argument_wrong("reload", "it takes no words, as \"%s\"", argv[optind]);
}

const struct cli_command command_reload = {
	.name = "reload",
	.summary = "have files and settings read again",
	.forms = forms,
	.options = {options, context_options, api_options_table},
	.notes = "Certificates, keys, passwords in files and live settings are read again, all of them or, if one has "
		 "a fault, "
		 "none. What was read, what has another value now, and what needs a restart go to stdout. In a cluster "
		 "each "
		 "comet and comet-logic is asked at its own address.",
	.exits = API_EXITS,
	.examples = "  comet-cli reload\n"
		    "  comet-cli reload --http 10.0.0.7:3111\n",
	.run = run,
};
