/* process: what is asked of loader and kernel for a process with thousands of sockets and threads. Before the first thread.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_PROCESS_H
#define COMET_PROCESS_H

#include <stdint.h>

/* Starts the program once more, with tunables of glibc by which threads need less. Returns where that has been done, or cannot be. */
void process_slim_threads(char **argv);
/* As many files as may be had without asking anybody; logs a failure. */
void process_raise_files(void);
/* For the sleeping threads of so many connections. */
void process_enlarge_futex_table(int64_t connections);

#endif
