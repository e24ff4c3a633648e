/* arguments: numbers, times and lists of the command line, checked, and the words for their faults.
 * SPDX-License-Identifier: MIT */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each: true and *out is set, or false with one line on stderr that names the option, its value and its range.
 *   argument_i64    a decimal number from min to max
 *   argument_time   seconds (1, 0.5), or with a unit: 500ms, 10s, 5m, 1h; above 0, at most a day */
bool argument_i64(const char *option, const char *text, int64_t min, int64_t max, int64_t *out);
bool argument_time(const char *option, const char *text, int64_t *out_ns);

/* Numbers from 0 up with commas, such as the operations 1000,1001: one at least, at most `max` of them. */
bool argument_numbers(const char *option, const char *text, int32_t *numbers, size_t max, size_t *n_out);

/* A copy of an option's value, which the list of processes shows no longer. `copy` keeps it, and has the one before, or NULL; without
 * memory it is the value itself. */
const char *argument_secret(char *value, char **copy);

/* "comet-cli COMMAND: words" and where the help is, on stderr; returns EXIT_USAGE. */
int argument_wrong(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
