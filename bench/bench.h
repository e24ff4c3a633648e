/* bench: the command `comet-cli bench`. SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

/* It gets the arguments from its own name on, and returns the program's exit code: cli/commands.h. */
int command_bench(int argc, char **argv);

#endif
