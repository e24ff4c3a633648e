/* comet-cli: a client to talk to comet with, from a shell. This file chooses the command. SPDX-License-Identifier: MIT
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "cli/commands.h"
#include "common/base/version.h"

struct command {
	const char *name;
	char *called; /* the words before getopt's complaints */
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{"sub", (char[]){"comet-cli sub"}, command_sub},       {"push", (char[]){"comet-cli push"}, command_push},
	{"kick", (char[]){"comet-cli kick"}, command_kick},    {"online", (char[]){"comet-cli online"}, command_online},
	{"bench", (char[]){"comet-cli bench"}, command_bench},
};

/* clang-format off */
static const char help[] =
	"comet-cli: talk to comet from a shell\n"
	"\n"
	"  comet-cli sub      be a client: connect, and print each message as it arrives\n"
	"  comet-cli push     send a message to connections, users, a room or everybody\n"
	"  comet-cli kick     close connections\n"
	"  comet-cli online   count connections and the people in rooms\n"
	"  comet-cli bench    measure a server: connections, speed, losses\n"
	"\n"
	"comet-cli COMMAND --help shows the options of each. sub and bench speak to the port for TCP clients\n"
	"(127.0.0.1:3101), sub with a URL to any; push, kick, online and bench fanout to the HTTP API (127.0.0.1:3111).\n"
	"\n"
	"Exit code: 0 done; 1 refused or closed by the server; 2 wrong command line; 3 nobody answers at that\n"
	"address; 4 timed out.\n"
	"\n"
	"Start comet, then in one terminal:\n"
	"  comet-cli sub --mid 123 --room live://1000\n"
	"and in another:\n"
	"  comet-cli push mid 123 '{\"hello\":\"123\"}'\n"
	"  comet-cli push room live://1000 '{\"hello\":\"room\"}'\n"
	"  comet-cli online\n"
	"  comet-cli kick mid 123\n";
/* clang-format on */

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		fputs(help, stdout);
		return EXIT_OK;
	}
	if (strcmp(name, "--version") == 0) {
		printf("comet-cli %s (%s)\n", version_text, version_commit);
		return EXIT_OK;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) == 0) {
			argv[1] = commands[i].called;
			return commands[i].run(argc - 1, argv + 1);
		}
	}
	if (name[0] != '\0')
		fprintf(stderr, "comet-cli: no command \"%s\"\n", name);
	fputs("comet-cli: the commands are sub, push, kick, online and bench; comet-cli --help says more\n", stderr);
	return EXIT_USAGE;
}
