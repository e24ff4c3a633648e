/* kick: close connections through the HTTP API; each is told why by op 6. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/query.h"

static const char help[] = "comet-cli kick: close connections\n"
			   "\n"
			   "  comet-cli kick [options] key KEY[,KEY...]     these connections\n"
			   "  comet-cli kick [options] mid MID[,MID...]     all connections of these users\n"
			   "\n" API_OPTIONS_HELP "\n"
			   "Each connection is told that it was kicked before it is closed. It is no error if nobody "
			   "of that name is online.\n"
			   "\n" API_EXIT_HELP "\n"
			   "Examples:\n"
			   "  comet-cli kick mid 123\n"
			   "  comet-cli kick key door-1,door-2\n";

static const struct option options[] = {
	{"help", no_argument, NULL, 'h'},
	API_OPTIONS,
	{NULL, 0, NULL, 0},
};

static int kick(const struct api_options *api, int n, char **words)
{
	struct query q;
	bool by_key = n > 0 && strcmp(words[0], "key") == 0;

	if (n != 2 || (!by_key && strcmp(words[0], "mid") != 0))
		return argument_wrong("kick", "whom? key KEY or mid MID");
	query_begin(&q, "/goim/kick");
	if (query_add_list(&q, by_key ? "keys" : "mids", words[1]) == 0) {
		free(query_end(&q));
		return argument_wrong("kick", "\"%s\" names nobody", words[1]);
	}
	return api_call(api, query_end(&q), "", 0, NULL);
}

int command_kick(int argc, char **argv)
{
	struct api_options api;
	int option;

	api_options_init(&api);
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (!api_take_option(&api, option))
			return EXIT_USAGE;
	}
	return kick(&api, argc - optind, argv + optind);
}
