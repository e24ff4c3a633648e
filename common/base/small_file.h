/* small_file: files of keys and secrets, which are read whole. Any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_SMALL_FILE_H
#define COMMON_BASE_SMALL_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* All of it, or its first `space` bytes; *n is how many. A pipe in its place does not hold the caller up. *is_open (NULL: not asked):
 * may every user of this machine read it, or write to it? 0 or -errno. */
int small_file_read(const char *path, void *bytes, size_t space, size_t *n, bool *is_open);

/* The same question about a file that the caller has. */
bool small_file_is_open(int fd);

#endif
