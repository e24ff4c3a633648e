/* who: which connections there are: of users, by key, in a room, or all, as the HTTP API lists them. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/printer.h"
#include "cli/query.h"
#include "cli/table.h"
#include "common/base/clock.h"

struct who {
	struct api_options api;
	bool by_key;
	const char *room, *after; /* or NULL */
	int64_t limit, queued;
};

/* ---- printing ---- */

/* "user 7, on comet-1 for 3m20s, from 10.0.0.9:51234 over tcp, 2 messages queued" */
static void put_place(FILE *out, const json_t *c)
{
	const char *user = api_string(c, "user");
	const json_int_t queued = api_number(c, "queued");
	char age[TABLE_AGE_BYTES];

	fputs(user[0] != '\0' ? "user " : "nobody's", out);
	printer_word(out, user);
	fputs(", on ", out);
	printer_word(out, api_string(c, "comet"));
	fprintf(out, " for %s, from ", table_age_text(clock_wall_ms() - api_number(c, "since_ms"), age));
	printer_word(out, api_string(c, "address"));
	fputs(" over ", out);
	printer_word(out, api_string(c, "transport"));
	if (queued > 0)
		fprintf(out, ", %" JSON_INTEGER_FORMAT " message%s queued", queued, queued == 1 ? "" : "s");
	fputs("\n", out);
}

/* "in live://1000, chat://1" and "accepts 1000, 1001" */
static void put_rooms(FILE *out, const json_t *c)
{
	const json_t *rooms = json_object_get(c, "rooms"), *ops = json_object_get(c, "operations"), *one;
	const json_int_t more = api_number(c, "rooms_more");
	size_t i;

	fputs(json_array_size(rooms) > 0 ? "in " : "in no room", out);
	json_array_foreach(rooms, i, one)
	{
		fputs(i > 0 ? ", " : "", out);
		printer_word(out, json_string_value(one));
	}
	if (more > 0)
		fprintf(out, " and %" JSON_INTEGER_FORMAT " more", more);
	fputs(ops == NULL ? "\naccepts all" : json_array_size(ops) > 0 ? "\naccepts " : "\naccepts nothing", out);
	json_array_foreach(ops, i, one)
	{
		fprintf(out, "%s%" JSON_INTEGER_FORMAT, i > 0 ? ", " : "", json_integer_value(one));
	}
}

static bool print_connection(const json_t *c)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	bool ok;

	if (out == NULL)
		return false;
	put_place(out, c);
	put_rooms(out, c);
	ok = fclose(out) == 0;
	printer_word(stdout, api_string(c, "key"));
	(void)puts("");
	if (ok)
		command_print(stdout, text, 2, 0);
	free(text);
	return ok;
}

/* The users that nobody is connected as. */
static void print_offline(const json_t *counts)
{
	const char *user;
	json_t *count;

	/* The macro wants a pointer that it may hand to jansson's iterator; it changes nothing. */
	json_object_foreach((json_t *)counts, user, count)
	{
		if (json_integer_value(count) != 0)
			continue;
		printer_word(stdout, user);
		(void)puts(": offline");
	}
}

static void print_silent(const json_t *silent)
{
	const json_t *one;
	size_t i;

	json_array_foreach(silent, i, one)
	{
		fputs("comet-cli: ", stderr);
		printer_word(stderr, json_string_value(one));
		fputs(" does not answer: its connections are missing\n", stderr);
	}
}

static bool print_page(const json_t *data)
{
	const json_t *list = json_object_get(data, "connections"), *counts = json_object_get(data, "counts");
	const char *next = api_string(data, "next");
	const size_t n = json_array_size(list);
	bool ok = json_is_array(list);

	for (size_t i = 0; ok && i < n; i++)
		ok = print_connection(json_array_get(list, i));
	if (n == 0 && counts == NULL && ok)
		(void)puts("nobody");
	print_offline(counts);
	if (next[0] != '\0') {
		fputs("more follow: --after ", stdout);
		printer_word(stdout, next);
		(void)puts("");
	}
	print_silent(json_object_get(data, "silent"));
	return ok;
}

/* ---- asking ---- */

static int ask(const struct who *w, const char *path, const char *param, int n, char **words)
{
	struct query q;

	query_begin(&q, path);
	for (int i = 0; i < n; i++)
		query_add(&q, param, words[i]);
	if (n > 0 && !w->by_key)
		query_add_number(&q, "detail", 1);
	if (w->room != NULL && !query_add_room(&q, "room", w->room)) {
		free(query_end(&q));
		return argument_wrong("who", "a room is TYPE://ID, such as live://1000, not \"%s\"", w->room);
	}
	query_add_number(&q, "limit", w->limit);
	if (w->after != NULL)
		query_add(&q, "after", w->after);
	if (w->queued > 0)
		query_add_number(&q, "queued", w->queued);
	return api_show(&w->api, query_end(&q), print_page);
}

static int choose(const struct who *w, int n, char **words)
{
	if (w->room != NULL && n > 0)
		return argument_wrong("who", "give --room or names, and not both");
	if (w->by_key && n == 0)
		return argument_wrong("who", "which keys?");
	if (n > 0 && !w->by_key)
		return ask(w, "/goim/online/users", "users", n, words);
	return ask(w, "/goim/connections", "keys", n, words);
}

enum { OPT_KEY = 256, OPT_ROOM, OPT_LIMIT, OPT_AFTER, OPT_QUEUED };

static const struct cli_option options[] = {
	{"key", 0, OPT_KEY, NULL, NULL, "the words are keys of connections"},
	{"room", 0, OPT_ROOM, "TYPE://ID", NULL, "who is in this room"},
	{"queued", 0, OPT_QUEUED, "N", NULL, "with --room or no word: those for whom at least N messages wait"},
	{"limit", 0, OPT_LIMIT, "N", NULL, "at most so many connections, up to 1000 (100)"},
	{"after", 0, OPT_AFTER, "KEY", NULL, "those whose keys come after this one"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options] USER [USER...]", "the connections of these users, by number or by name"},
	{"[options] --key KEY [KEY...]", "these connections"},
	{"[options] --room TYPE://ID", "those in a room"},
	{"[options]", "all"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct who *w = arg;

	switch (option) {
	case OPT_KEY:
		w->by_key = true;
		return true;
	case OPT_ROOM:
		w->room = optarg;
		return true;
	case OPT_QUEUED:
		return argument_i64("--queued", optarg, 1, INT32_MAX, &w->queued);
	case OPT_LIMIT:
		return argument_i64("--limit", optarg, 1, 1000, &w->limit);
	case OPT_AFTER:
		w->after = optarg;
		return true;
	default:
		return api_take_option(&w->api, option);
	}
}

static int run(int argc, char **argv)
{
	struct who w = {.limit = 100};
	int code;

	if ((code = api_options_read(&w.api, &command_who, argc, argv, take_option, &w)) >= 0)
		return code;
	return choose(&w, argc - optind, argv + optind);
}

const struct cli_command command_who = {
	.name = "who",
	.summary = "list connections",
	.forms = forms,
	.options = {options, api_json_option, context_options, api_options_table},
	.notes = "They come in the order of their keys. A comet of a cluster that does not answer is named on stderr, "
		 "and its "
		 "connections are missing.",
	.exits = API_EXITS,
	.examples = "  comet-cli who 123 'CN=Ann,O=Example'\n"
		    "  comet-cli who --key bob-1\n"
		    "  comet-cli who --room live://1000\n",
	.run = run,
};
