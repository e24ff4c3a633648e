/* process: what is asked of loader and kernel for a process with thousands of sockets and threads. Before the first thread.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_PROCESS_H
#define COMET_PROCESS_H

#include <stdint.h>

/* Starts the program once more, with tunables of glibc by which threads need less. Returns where that has been done, or cannot be. */
void process_slim_threads(char **argv);
/* As many files as may be had without asking anybody; logs a failure. */
void process_raise_files(void);
/* For the files of so many connections, or of the first 65,536. */
void process_enlarge_file_table(int64_t connections);
/* For so many sleeping threads. */
void process_enlarge_futex_table(int64_t threads);

#endif
