/* rooms: the rooms with the most people, as the HTTP API counts them. SPDX-License-Identifier: MIT */
#include <getopt.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/query.h"
#include "cli/table.h"

struct rooms {
	struct api_options api;
	int64_t limit;
	bool json;
};

static const struct table_column columns[] = {{"ROOM", false}, {"PEOPLE", true}, {NULL, false}};

/* Rows that name the room by `name`. */
static bool print_list(const json_t *list, const char *name)
{
	struct table t = {.columns = columns};
	const json_t *row;
	unsigned rows;
	size_t i;

	if (!json_is_array(list))
		return false;
	json_array_foreach(list, i, row)
	{
		table_text(&t, api_string(row, name));
		table_number(&t, api_number(row, "count"));
	}
	return table_print(stdout, &t, table_terminal(&rows), SIZE_MAX);
}

static bool print_type(const json_t *data)
{
	return print_list(data, "room_id");
}

static bool print_all(const json_t *data)
{
	const json_t *top = json_object_get(data, "top");
	const long long all = api_number(data, "rooms");

	if (!print_list(top, "room"))
		return false;
	if (all > (long long)json_array_size(top))
		printf("and %lld more\n", all - (long long)json_array_size(top));
	return true;
}

enum { OPT_JSON = 256, OPT_LIMIT };

static const struct cli_option options[] = {
	{"limit", 0, OPT_LIMIT, "N", NULL, "with TYPE: at most so many (20)"},
	{"json", 0, OPT_JSON, NULL, NULL, "print the data as the server sent them"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options]", "the twenty rooms with the most people"},
	{"[options] TYPE", "those of a type"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct rooms *r = arg;

	switch (option) {
	case OPT_LIMIT:
		return argument_i64("--limit", optarg, 1, INT32_MAX, &r->limit);
	case OPT_JSON:
		r->json = true;
		return true;
	default:
		return api_take_option(&r->api, option);
	}
}

static int run(int argc, char **argv)
{
	struct rooms r = {.limit = 20};
	struct query q;
	int code;

	api_options_init(&r.api);
	if ((code = command_read(&command_rooms, argc, argv, take_option, &r)) >= 0)
		return code;
	if (!api_options_settle(&r.api))
		return EXIT_USAGE;
	if (argc - optind > 1)
		return argument_wrong("rooms", "what is \"%s\"? It takes one type", argv[optind + 1]);
	if (optind == argc) {
		query_begin(&q, "/console.json");
		return api_show(&r.api, query_end(&q), r.json, print_all);
	}
	query_begin(&q, "/goim/online/top");
	query_add(&q, "type", argv[optind]);
	query_add_number(&q, "limit", r.limit);
	return api_show(&r.api, query_end(&q), r.json, print_type);
}

const struct cli_command command_rooms = {
	.name = "rooms",
	.summary = "list the fullest rooms",
	.forms = forms,
	.options = {options, context_options, api_options_table},
	.exits = API_EXITS,
	.examples = "  comet-cli rooms\n"
		    "  comet-cli rooms --limit 5 live\n",
	.run = run,
};
