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

enum { OPT_LIMIT = 256 };

static const struct cli_option options[] = {
	{"limit", 0, OPT_LIMIT, "N", NULL, "with TYPE: at most so many (20)"},
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

	if (option != OPT_LIMIT)
		return api_take_option(&r->api, option);
	return argument_i64("--limit", optarg, 1, INT32_MAX, &r->limit);
}

static int run(int argc, char **argv)
{
	struct rooms r = {.limit = 20};
	struct query q;
	int code;

	if ((code = api_options_read(&r.api, &command_rooms, argc, argv, take_option, &r)) >= 0)
		return code;
	if (argc - optind > 1)
		return argument_wrong("rooms", "what is \"%s\"? It takes one type", argv[optind + 1]);
	if (optind == argc) {
		query_begin(&q, "/console.json");
		return api_show(&r.api, query_end(&q), print_all);
	}
	query_begin(&q, "/goim/online/top");
	query_add(&q, "type", argv[optind]);
	query_add_number(&q, "limit", r.limit);
	return api_show(&r.api, query_end(&q), print_type);
}

const struct cli_command command_rooms = {
	.name = "rooms",
	.summary = "list the fullest rooms",
	.forms = forms,
	.options = {options, api_json_option, context_options, api_options_table},
	.exits = API_EXITS,
	.examples = "  comet-cli rooms\n"
		    "  comet-cli rooms --limit 5 live\n",
	.run = run,
};
