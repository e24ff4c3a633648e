/* nodes: the comets that are up, as the HTTP API lists them. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/query.h"
#include "cli/table.h"
#include "common/base/clock.h"

static const struct table_column columns[] = {
	{"NODE", false},     {"ADDRESSES", false}, {"REGION", false}, {"CONNECTIONS", true}, {"WEIGHT", true},
	{"DELIVERED", true}, {"DROPPED", true},    {"SEEN", true},    {NULL, false},
};

static bool print_nodes(const json_t *data)
{
	struct table t = {.columns = columns};
	const json_t *node;
	unsigned rows;
	size_t i;

	if (!json_is_array(data))
		return false;
	json_array_foreach(data, i, node)
	{
		table_text(&t, api_string(node, "id"));
		table_text(&t, api_string(node, "addrs"));
		table_text(&t, api_string(node, "region"));
		table_number(&t, api_number(node, "conn_count"));
		table_number(&t, api_number(node, "weight"));
		table_number(&t, api_number(node, "delivered"));
		table_number(&t, api_number(node, "dropped"));
		table_age(&t, clock_wall_ms() - api_number(node, "updated_ms"));
	}
	if (json_array_size(data) == 0)
		(void)fputs("comet-cli: no comet could tell of itself lately; /readyz of each says why\n", stderr);
	return table_print(stdout, &t, table_terminal(&rows), SIZE_MAX);
}

static const struct cli_form forms[] = {
	{"[options]", "the comets that are up, with what each has delivered and dropped since its start"},
	{NULL, NULL},
};

static int run(int argc, char **argv)
{
	struct api_options api = {0};
	struct query q;
	int code;

	if ((code = api_options_read(&api, &command_nodes, argc, argv, api_take_option, &api)) >= 0)
		return code;
	if (optind < argc)
		return argument_wrong("nodes", "what is \"%s\"? It takes no word", argv[optind]);
	query_begin(&q, "/goim/nodes/instances");
	return api_show(&api, query_end(&q), print_nodes);
}

const struct cli_command command_nodes = {
	.name = "nodes",
	.summary = "list the comets that are up",
	.forms = forms,
	.options = {api_json_option, context_options, api_options_table},
	.exits = API_EXITS,
	.examples = "  comet-cli nodes\n",
	.run = run,
};
