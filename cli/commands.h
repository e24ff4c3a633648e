/* commands: the commands of comet-cli. main.c chooses, each command reads its own arguments.
 * SPDX-License-Identifier: MIT */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/command.h"

extern const struct cli_command command_sub, command_send, command_push, command_kick, command_bans, command_online,
	command_who, command_nodes, command_rooms, command_top, command_stream, command_reload, command_trace,
	command_token;

#endif
