/* top: what goes on, every other second: rates, nodes, rooms, and clients for whom messages wait. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/printer.h"
#include "cli/table.h"
#include "common/base/clock.h"

#define SLOW_SHOWN 10
#define ONCE_NS    CLOCK_SEC /* between the two looks of which the rates are made */

struct top {
	struct api_options api;
	int64_t every_ns;
	bool json;
};

/* ---- looking ---- */

struct look {
	int64_t ns;
	json_t *about, *nodes, *slow; /* data of the answers */
};

static void look_fini(struct look *l)
{
	json_decref(l->about);
	json_decref(l->nodes);
	json_decref(l->slow);
	*l = (struct look){0};
}

/* An exit code; where it is not 0 there is nothing to fini. */
static int look(const struct top *t, struct look *l)
{
	int code;

	*l = (struct look){.ns = clock_now_ns()};
	if ((code = api_call(&t->api, strdup("/console.json"), NULL, 0, &l->about)) == EXIT_OK &&
	    (code = api_call(&t->api, strdup("/goim/nodes/instances"), NULL, 0, &l->nodes)) == EXIT_OK)
		code = api_call(&t->api, strdup("/goim/connections?queued=1&limit=100"), NULL, 0, &l->slow);
	if (code == EXIT_OK && !(json_is_object(l->about) && json_is_array(l->nodes) && json_is_object(l->slow)))
		code = api_unpromised();
	if (code != EXIT_OK)
		look_fini(l);
	return code;
}

static const json_t *node_of(const struct look *l, const char *id)
{
	const json_t *node;
	size_t i;

	json_array_foreach(l->nodes, i, node)
	{
		if (strcmp(api_string(node, "id"), id) == 0)
			return node;
	}
	return NULL;
}

/* What this node's counter has grown by a second. False: it is new, or was started again. */
static bool rate_of(const struct look *before, const struct look *now, const json_t *node, const char *name,
		    double *rate)
{
	const json_t *old = node_of(before, api_string(node, "id"));
	const json_int_t grown = api_number(node, name) - api_number(old, name);

	*rate = (double)grown * CLOCK_SEC / (double)(now->ns - before->ns);
	return old != NULL && grown >= 0;
}

/* Over all nodes whose rate is known. */
static double rate_of_all(const struct look *before, const struct look *now, const char *name)
{
	const json_t *node;
	double sum = 0, rate;
	size_t i;

	json_array_foreach(now->nodes, i, node)
	{
		if (rate_of(before, now, node, name, &rate))
			sum += rate;
	}
	return sum;
}

static long long sum_of(const struct look *l, const char *name)
{
	const json_t *node;
	long long sum = 0;
	size_t i;

	json_array_foreach(l->nodes, i, node)
	{
		sum += api_number(node, name);
	}
	return sum;
}

/* ---- the screen ---- */

static void print_nodes(const struct look *before, const struct look *now, unsigned width, size_t rows)
{
	static const struct table_column columns[] = {
		{"NODE", false},     {"ADDRESSES", false}, {"CONNECTIONS", true}, {"DELIVERED/S", true},
		{"DROPPED/S", true}, {"SEEN", true},       {NULL, false},
	};
	struct table t = {.columns = columns};
	const json_t *node;
	double rate = 0;
	bool known;
	size_t i;

	json_array_foreach(now->nodes, i, node)
	{
		table_text(&t, api_string(node, "id"));
		table_text(&t, api_string(node, "addrs"));
		table_number(&t, api_number(node, "conn_count"));
		known = rate_of(before, now, node, "delivered", &rate);
		table_rate(&t, known, rate);
		known = rate_of(before, now, node, "dropped", &rate);
		table_rate(&t, known, rate);
		table_age(&t, clock_wall_ms() - api_number(node, "updated_ms"));
	}
	(void)table_print(stdout, &t, width, rows);
}

static void print_rooms(const struct look *now, unsigned width, size_t rows)
{
	static const struct table_column columns[] = {{"ROOM", false}, {"PEOPLE", true}, {NULL, false}};
	struct table t = {.columns = columns};
	const json_t *room;
	size_t i;

	json_array_foreach(json_object_get(now->about, "top"), i, room)
	{
		table_text(&t, api_string(room, "room"));
		table_number(&t, api_number(room, "count"));
	}
	(void)table_print(stdout, &t, width, rows);
}

static int by_queued(const void *a, const void *b)
{
	const json_int_t x = api_number(*(const json_t *const *)a, "queued");
	const json_int_t y = api_number(*(const json_t *const *)b, "queued");

	return (x < y) - (x > y);
}

/* Of at most a hundred those with the longest queues. */
static void print_slow(const struct look *now, unsigned width, size_t rows)
{
	static const struct table_column columns[] = {
		{"SLOW CONSUMER", false}, {"USER", false},  {"NODE", false},
		{"ADDRESS", false},       {"QUEUED", true}, {NULL, false},
	};
	const json_t *list = json_object_get(now->slow, "connections"), *sorted[100] = {0};
	const size_t n = json_array_size(list) < 100 ? json_array_size(list) : 100;
	struct table t = {.columns = columns};

	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(list, i);
	qsort(sorted, n, sizeof(sorted[0]), by_queued);
	for (size_t i = 0; i < n; i++) {
		table_text(&t, api_string(sorted[i], "key"));
		table_text(&t, api_string(sorted[i], "user"));
		table_text(&t, api_string(sorted[i], "comet"));
		table_text(&t, api_string(sorted[i], "address"));
		table_number(&t, api_number(sorted[i], "queued"));
	}
	if (n > 0)
		(void)puts("");
	if (n > 0)
		(void)table_print(stdout, &t, width, rows < SLOW_SHOWN ? rows : SLOW_SHOWN);
}

/* Of comet-logic, or of a comet alone. Where it is not ready the figures of comets are old, or not there. */
static void print_health(const struct look *now)
{
	const char *words = api_string(now->about, "words");
	const bool ready = json_is_true(json_object_get(now->about, "ready"));

	if (ready && words[0] == '\0')
		return;
	fputs(ready ? "ready, but: " : "NOT READY: ", stdout);
	printer_escaped(stdout, words, strlen(words));
	putchar('\n');
}

static void print_head(const struct top *t, const struct look *before, const struct look *now)
{
	const long long held = sum_of(now, "conn_count"), grown = held - sum_of(before, "conn_count");
	const long long addresses = sum_of(now, "ip_count"), rooms = api_number(now->about, "rooms");
	const char *version = api_string(now->about, "version");
	char clock[32];
	time_t s = time(NULL);
	struct tm tm;

	(void)strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&s, &tm));
	printf("%s  %s  comet ", clock, t->api.http);
	printer_escaped(stdout, version, strnlen(version, 40));
	putchar('\n');
	printf("%lld connection%s (%+lld) from %lld address%s, %lld room%s\n", held, held == 1 ? "" : "s", grown,
	       addresses, addresses == 1 ? "" : "es", rooms, rooms == 1 ? "" : "s");
	printf("%.1f deliveries a second, %.1f drops a second\n", rate_of_all(before, now, "delivered"),
	       rate_of_all(before, now, "dropped"));
	print_health(now);
	putchar('\n');
}

/* All of it, in so many rows (0: as many as there are): nodes may have a half of them, rooms what slow consumers leave. */
static void print_all(const struct top *t, const struct look *before, const struct look *now, unsigned width,
		      unsigned rows)
{
	const size_t nodes = json_array_size(now->nodes),
		     slow = json_array_size(json_object_get(now->slow, "connections"));
	const size_t left = rows > 13 ? rows - 9 : 4; /* without the head, titles, empty lines and the cursor's */
	const size_t for_nodes = rows == 0 || nodes < left / 2 ? nodes : left / 2;
	size_t for_slow = slow < SLOW_SHOWN ? slow : SLOW_SHOWN;

	if (rows > 0 && for_slow > (left - for_nodes) / 2)
		for_slow = (left - for_nodes) / 2;
	print_head(t, before, now);
	print_nodes(before, now, width, for_nodes);
	(void)puts("");
	print_rooms(now, width, rows == 0 ? SIZE_MAX : left - for_nodes - (for_slow > 0 ? for_slow + 2 : 0));
	print_slow(now, width, for_slow);
}

static int print_json(const struct look *before, const struct look *now)
{
	json_t *all = json_pack(
		"{s:I,s:I,s:I,s:f,s:f,s:O,s:O,s:O,s:O,s:O,s:O}", "connections", (json_int_t)sum_of(now, "conn_count"),
		"addresses", (json_int_t)sum_of(now, "ip_count"), "rooms", (json_int_t)api_number(now->about, "rooms"),
		"delivered_per_s", rate_of_all(before, now, "delivered"), "dropped_per_s",
		rate_of_all(before, now, "dropped"), "nodes", now->nodes, "top", json_object_get(now->about, "top"),
		"slow", json_object_get(now->slow, "connections"), "silent", json_object_get(now->slow, "silent"),
		"ready", json_object_get(now->about, "ready"), "words", json_object_get(now->about, "words"));
	int code = api_print_json(all);

	json_decref(all);
	return code;
}

static void rest(int64_t ns)
{
	const struct timespec time = {ns / CLOCK_SEC, ns % CLOCK_SEC};

	(void)nanosleep(&time, NULL);
}

static int once(const struct top *t)
{
	struct look before, now;
	int code = look(t, &before);

	if (code != EXIT_OK)
		return code;
	rest(ONCE_NS);
	if ((code = look(t, &now)) == EXIT_OK) {
		if (t->json) {
			code = print_json(&before, &now);
		} else {
			print_all(t, &before, &now, 0, 0);
			code = api_printed();
		}
		look_fini(&now);
	}
	look_fini(&before);
	return code;
}

/* Until the program is interrupted, or there is no answer. */
static int live(const struct top *t)
{
	struct look before, now;
	unsigned width, rows;
	int code = look(t, &before);

	if (code == EXIT_OK)
		rest(ONCE_NS < t->every_ns ? ONCE_NS : t->every_ns);
	while (code == EXIT_OK && (code = look(t, &now)) == EXIT_OK) {
		width = table_terminal(&rows);
		fputs("\033[H\033[2J", stdout);
		print_all(t, &before, &now, width, rows);
		look_fini(&before);
		before = now;
		if ((code = api_printed()) == EXIT_OK)
			rest(t->every_ns);
	}
	look_fini(&before);
	return code;
}

/* ---- the command ---- */

enum { OPT_EVERY = 256, OPT_JSON };

static const struct cli_option options[] = {
	{"every", 0, OPT_EVERY, "TIME", NULL, "on a terminal: look again after this time (2s)"},
	{"json", 0, OPT_JSON, NULL, NULL, "look once, and print JSON"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"[options]", "rates, nodes, the fullest rooms, and clients for whom messages wait"},
	{NULL, NULL},
};

static bool take_option(void *arg, int option)
{
	struct top *t = arg;

	switch (option) {
	case OPT_EVERY:
		return argument_time("--every", optarg, &t->every_ns);
	case OPT_JSON:
		t->json = true;
		return true;
	default:
		return api_take_option(&t->api, option);
	}
}

static int run(int argc, char **argv)
{
	struct top t = {.every_ns = 2 * CLOCK_SEC};
	unsigned rows;
	int code;

	if ((code = api_options_read(&t.api, &command_top, argc, argv, take_option, &t)) >= 0)
		return code;
	if (optind < argc)
		return argument_wrong("top", "what is \"%s\"? It takes no word", argv[optind]);
	return t.json || table_terminal(&rows) == 0 ? once(&t) : live(&t);
}

const struct cli_command command_top = {
	.name = "top",
	.summary = "watch rates, nodes, rooms and slow consumers",
	.forms = forms,
	.options = {options, context_options, api_options_table},
	.notes = "On a terminal it goes on until Ctrl-C. Elsewhere, and with --json, it looks twice within a second, "
		 "prints what it "
		 "saw, and ends. To find who is slow the comets walk through all of their connections at each look.",
	.exits = API_EXITS,
	.examples = "  comet-cli top\n"
		    "  comet-cli top --every 10s\n"
		    "  comet-cli top --json | jq .nodes\n",
	.run = run,
};
