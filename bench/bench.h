/* bench: the command `comet-cli bench`. SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "cli/command.h"

extern const struct cli_command command_bench;

#endif
