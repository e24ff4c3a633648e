/* query: a path of the HTTP API with its parameters, built piece by piece. SPDX-License-Identifier: MIT */
#ifndef CLI_QUERY_H
#define CLI_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct query {
	FILE *out;
	char *text;
	size_t text_bytes;
	unsigned params;
};

/* Begin with this path; query_end must follow. Memory that runs out here or later shows up there. */
void query_begin(struct query *q, const char *path);
/* Add name=value; all of the value but letters, digits and -_.~ goes as %XX. */
void query_add(struct query *q, const char *name, const char *value);
void query_add_bytes(struct query *q, const char *name, const char *value, size_t value_bytes);
void query_add_number(struct query *q, const char *name, long long value);
/* Add one name=item for each item of a list with commas, or with `whole` one for all of it; empty items are left out. Returns how many
 * were added. */
unsigned query_add_list(struct query *q, const char *name, const char *list, bool whole);
/* Add who is meant by KIND and NAME[,NAME...], a parameter such as mids=NAME each; `kinds` has the kinds that may be, with blanks between.
 * NULL, or the word that is wrong: the kind is none of them, or the names are nobody's. */
const char *query_add_whom(struct query *q, const char *kinds, char *const words[2], bool whole);
/* Add type, and `name`, of a room, TYPE://ID. False: it is none. */
bool query_add_room(struct query *q, const char *name, const char *room);
/* The same of several, all of one type. NULL, or the first one that is wrong. */
const char *query_add_rooms(struct query *q, const char *name, int n, char *const *rooms);
/* Done: the whole, malloc'ed, or NULL where memory ran out on the way. */
char *query_end(struct query *q);

#endif
