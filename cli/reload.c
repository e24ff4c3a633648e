/* reload: have a server read its files and live settings again, and tell what came of it. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/printer.h"
#include "cli/query.h"

static const struct cli_form forms[] = {
	{"[options]", "as SIGHUP does"},
	{NULL, NULL},
};

static void print_list(const json_t *data, const char *member, const char *words)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(data, member), i, one)
	{
		printf("%s ", words);
		printer_word(stdout, json_string_value(one));
		putchar('\n');
	}
}

static void tell(const json_t *data)
{
	print_list(data, "read", "read");
	print_list(data, "changed", "changed");
	print_list(data, "needs_restart", "needs a restart:");
	if (json_array_size(json_object_get(data, "read")) == 0)
		(void)puts("there is nothing to read again: no file of settings, certificates or keys");
}

static int reload(const struct api_options *api)
{
	struct query q;
	json_t *data;
	int code;

	query_begin(&q, "/goim/reload");
	if ((code = api_call(api, query_end(&q), "", 0, &data)) != EXIT_OK)
		return code;
	if (api->json) {
		code = api_print_json(data);
	} else {
		tell(data);
		code = api_printed();
	}
	json_decref(data);
	return code;
}

static int run(int argc, char **argv)
{
	struct api_options api = {0};
	int code;

	if ((code = api_options_read(&api, &command_reload, argc, argv, api_take_option, &api)) >= 0)
		return code;
	return optind == argc ? reload(&api) : argument_wrong("reload", "it takes no words, as \"%s\"", argv[optind]);
}

const struct cli_command command_reload = {
	.name = "reload",
	.summary = "have files and settings read again",
	.forms = forms,
	.options = {api_json_option, context_options, api_options_table},
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
