/* comet-cli: a client to talk to comet with, from a shell. This file chooses the command. SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "common/base/version.h"

static const struct cli_command *const commands[] = {&command_sub,   &command_send,   &command_push,   &command_kick,
						     &command_bans,  &command_online, &command_who,    &command_nodes,
						     &command_rooms, &command_top,    &command_stream, &command_reload,
						     &command_trace, &command_token,  &command_bench};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char notes[] =
	"comet-cli COMMAND --help shows the options of each. sub, send and bench speak to the port for TCP clients "
	"(127.0.0.1:3101), sub and send with a URL to any; push, kick, bans, online, who, nodes, rooms, top, stream, "
	"reload, "
	"trace and bench fanout to the HTTP API (127.0.0.1:3111).\n"
	"\n"
	"Other addresses come from options, from COMET_HTTP and COMET_HOST, or from a section of "
	"~/.config/comet/cli.ini, which --context or COMET_CONTEXT chooses; the section [default] needs no word:\n"
	"\n"
	"  [default]\n"
	"  http = https://push.example.com\n"
	"  api_key_file = /home/me/.config/comet/key\n"
	"  host = wss://example.com/sub\n"
	"\n"
	"Exit code: 0 done; 1 refused or closed by the server; 2 wrong command line; 3 nobody answers at that address; "
	"4 timed out.";

/* clang-format off */
static const char examples[] =
	"\n"
	"Start comet, then in one terminal:\n"
	"  comet-cli sub --mid 123 --room live://1000\n"
	"and in another:\n"
	"  comet-cli push mid 123 '{\"hello\":\"123\"}'\n"
	"  comet-cli push room live://1000 '{\"hello\":\"room\"}'\n"
	"  comet-cli who 123\n"
	"  comet-cli top\n"
	"  comet-cli kick mid 123\n";
/* clang-format on */

static void print_help(void)
{
	printf("comet-cli: talk to comet from a shell\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  comet-cli %-8s %s\n", commands[i]->name, commands[i]->summary);
	puts("");
	command_print(stdout, notes, 0, 0);
	fputs(examples, stdout);
}

static int say_no_command(const char *name)
{
	char all[128] = "";
	const char *meant;

	for (size_t i = 0; i < COMMANDS; i++) {
		command_add_word(all, sizeof(all), commands[i]->name);
	}
	meant = command_meant(name, all);
	if (name[0] != '\0')
		fprintf(stderr, "comet-cli: no command \"%s\"%s%s%s\n", name, meant != NULL ? "; did you mean " : "",
			meant != NULL ? meant : "", meant != NULL ? "?" : "");
	fprintf(stderr, "comet-cli: the commands are %.*s; comet-cli --help says more\n", (int)strlen(all) - 1, all);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_help();
		return EXIT_OK;
	}
	if (strcmp(name, "--version") == 0) {
		printf("comet-cli %s (%s)\n", version_text, version_commit);
		return EXIT_OK;
	}
	if (strcmp(name, "complete") == 0 && argc > 2) { /* for shells */
		complete(commands, COMMANDS, argc - 2, argv + 2);
		return EXIT_OK;
	}
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(name, commands[i]->name) == 0)
			return commands[i]->run(argc - 1, argv + 1);
	return say_no_command(name);
}
