/* online: the connections, as the HTTP API counts them. SPDX-License-Identifier: MIT */
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

static bool print_total(const json_t *data)
{
	const json_t *connections = json_object_get(data, "conn_count");
	const json_t *addresses = json_object_get(data, "ip_count");

	if (!json_is_integer(connections) || !json_is_integer(addresses))
		return false;
	printf("connections %lld\naddresses %lld\n", (long long)json_integer_value(connections),
	       (long long)json_integer_value(addresses));
	return true;
}

static bool print_top(const json_t *data)
{
	const json_t *row;
	size_t i;

	if (!json_is_array(data))
		return false;
	json_array_foreach(data, i, row)
	{
		const char *room = json_string_value(json_object_get(row, "room_id"));

		if (room == NULL || !json_is_integer(json_object_get(row, "count")))
			return false;
		printer_word(stdout, room);
		printf(" %lld\n", (long long)json_integer_value(json_object_get(row, "count")));
	}
	return true;
}

static int ask_top(const struct api_options *api, int n, char **words)
{
	int64_t limit = 10;
	struct query q;

	if (n < 1 || n > 2)
		return argument_wrong("online", "top takes a type and maybe a limit");
	if (n == 2 && !argument_i64("LIMIT", words[1], 1, INT32_MAX, &limit))
		return EXIT_USAGE;
	query_begin(&q, "/goim/online/top");
	query_add(&q, "type", words[0]);
	query_add_number(&q, "limit", limit);
	return api_show(api, query_end(&q), print_top);
}

static int ask_rooms(const struct api_options *api, int n, char **words)
{
	const char *wrong;
	struct query q;

	if (n == 0)
		return argument_wrong("online", "which room? TYPE://ID");
	query_begin(&q, "/goim/online/room");
	if ((wrong = query_add_rooms(&q, "rooms", n, words)) != NULL) {
		free(query_end(&q));
		return argument_wrong("online", "rooms are TYPE://ID, all of one type, not \"%s\"", wrong);
	}
	return api_show(api, query_end(&q), api_print_numbers);
}

static int choose(const struct api_options *api, int n, char **words)
{
	struct query q;

	if (n > 0 && strcmp(words[0], "top") == 0)
		return ask_top(api, n - 1, words + 1);
	if (n > 0 && strcmp(words[0], "room") == 0)
		return ask_rooms(api, n - 1, words + 1);
	if (n > 1 || (n == 1 && strcmp(words[0], "total") != 0))
		return argument_wrong("online", "what is \"%s\"? It takes total, top or room", words[n - 1]);
	query_begin(&q, "/goim/online/total");
	return api_show(api, query_end(&q), print_total);
}

static const struct cli_form forms[] = {
	{"[options] [total]", "connections and client addresses"},
	{"[options] top TYPE [LIMIT]", "the fullest rooms of a type, at most LIMIT (10)"},
	{"[options] room TYPE://ID [TYPE://ID...]", "these rooms, all of one type"},
	{NULL, NULL},
};

static int run(int argc, char **argv)
{
	struct api_options api = {0};
	int code;

	if ((code = api_options_read(&api, &command_online, argc, argv, api_take_option, &api)) >= 0)
		return code;
	return choose(&api, argc - optind, argv + optind);
}

const struct cli_command command_online = {
	.name = "online",
	.summary = "count connections",
	.forms = forms,
	.targets = "total top room",
	.options = {api_json_option, context_options, api_options_table},
	.exits = API_EXITS,
	.examples = "  comet-cli online\n"
		    "  comet-cli online top live 5\n"
		    "  comet-cli online room live://1000 live://2000\n",
	.run = run,
};
