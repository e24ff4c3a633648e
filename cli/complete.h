/* complete: what may come next on a command line of comet-cli, for shells. SPDX-License-Identifier: MIT */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include "cli/command.h"

/* Print each word that may stand in the place of the last of these, which may be empty: "word", a tab, what it is for. The line ":files"
 * stands for the names of files. words: those behind comet-cli, n at least 1. */
void complete(const struct cli_command *const *commands, size_t n_commands, int n, char **words);

#endif
