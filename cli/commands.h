/* commands: the commands of comet-cli, and their exit codes. main.c chooses, each command reads its own arguments.
 * SPDX-License-Identifier: MIT */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

/* The exit codes, as every --help says them. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_REFUSED = 1,     /* the server said no, or closed and we do not try again */
	EXIT_USAGE = 2,       /* the command line is wrong */
	EXIT_UNREACHABLE = 3, /* nobody answers at that address */
	EXIT_TIMEOUT = 4,     /* the time given is over */
};

/* Each gets the arguments from its own name on, and returns the program's exit code. */
int command_sub(int argc, char **argv);
int command_push(int argc, char **argv);
int command_kick(int argc, char **argv);
int command_online(int argc, char **argv);

#endif
