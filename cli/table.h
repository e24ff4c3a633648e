/* table: rows of words and numbers under titles, for a terminal. Main thread only. SPDX-License-Identifier: MIT */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TABLE_COLUMNS 8

struct table_column {
	const char *title;
	bool is_number; /* stands on the right */
};

/* All zero but for `columns`: an empty one. */
struct table {
	const struct table_column *columns; /* ended by a NULL title */
	/* table.c's */
	char **cells;
	size_t n, capacity;
	bool failed;
};

/* The next cell, row after row. Memory that runs out shows up in table_print. */
void table_text(struct table *t, const char *text);
void table_number(struct table *t, int64_t number);
/* A number that may not be known: –. */
void table_rate(struct table *t, bool is_known, double rate);

/* How long ago, as table_age_text says. */
void table_age(struct table *t, int64_t ms);

/* "5 s", "3 m 20 s", "2 h 5 m", "3 d 4 h"; returns text. */
#define TABLE_AGE_BYTES 32
const char *table_age_text(int64_t ms, char text[TABLE_AGE_BYTES]);

/* Print titles and the first rows_max rows; where a row would be wider than `width` columns (0: any may be) its longest text is cut.
 * Control characters of texts come as \xNN. Frees the rows. False: no memory. */
bool table_print(FILE *out, struct table *t, unsigned width, size_t rows_max);

/* The terminal that stdout is. 0: it is none. */
unsigned table_terminal(unsigned *rows);

#endif
