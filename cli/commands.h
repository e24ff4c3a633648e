/* commands: the commands of comet-cli, and their exit codes. main.c chooses, each command reads its own arguments.
 * SPDX-License-Identifier: MIT */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/command.h"

/* The exit codes, as every --help says them. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_REFUSED = 1,     /* the server said no, or closed and we do not try again */
	EXIT_USAGE = 2,       /* the command line is wrong */
	EXIT_UNREACHABLE = 3, /* nobody answers at that address */
	EXIT_TIMEOUT = 4,     /* the time given is over */
};

extern const struct cli_command command_sub, command_send, command_push, command_kick, command_online, command_token;

#endif
