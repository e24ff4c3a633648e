/* query: see query.h. SPDX-License-Identifier: MIT */
#include "cli/query.h"

#include <stdlib.h>
#include <string.h>

void query_begin(struct query *q, const char *path)
{
	*q = (struct query){0};
	if ((q->out = open_memstream(&q->text, &q->text_bytes)) != NULL)
		fputs(path, q->out);
}

void query_add_bytes(struct query *q, const char *name, const char *value, size_t value_bytes)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";

	if (q->out == NULL)
		return;
	fprintf(q->out, "%c%s=", q->params++ == 0 ? '?' : '&', name);
	for (size_t i = 0; i < value_bytes; i++) {
		/* strchr would find the zero byte, but a value has none. */
		if (strchr(plain, value[i]) != NULL)
			fputc(value[i], q->out);
		else
			fprintf(q->out, "%%%02X", (unsigned char)value[i]);
	}
}

void query_add(struct query *q, const char *name, const char *value)
{
	query_add_bytes(q, name, value, strlen(value));
}

void query_add_number(struct query *q, const char *name, long long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", value);
	query_add(q, name, text);
}

unsigned query_add_list(struct query *q, const char *name, const char *list, bool whole)
{
	unsigned added = 0;

	for (const char *at = list; *at != '\0';) {
		size_t n = whole ? strlen(at) : strcspn(at, ",");

		if (n > 0) {
			query_add_bytes(q, name, at, n);
			added++;
		}
		at += n + (at[n] == ',');
	}
	return added;
}

const char *query_add_rooms(struct query *q, const char *name, int n, char *const *rooms)
{
	const char *split = n > 0 ? strstr(rooms[0], "://") : NULL;
	const size_t type_bytes = split != NULL ? (size_t)(split - rooms[0]) : 0;

	for (int i = 0; i < n; i++) {
		if (type_bytes == 0 || strncmp(rooms[i], rooms[0], type_bytes + 3) != 0)
			return rooms[i];
		if (i == 0)
			query_add_bytes(q, "type", rooms[0], type_bytes);
		query_add(q, name, rooms[i] + type_bytes + 3);
	}
	return NULL;
}

char *query_end(struct query *q)
{
	bool failed = q->out == NULL || ferror(q->out);

	/* fclose writes the rest and sets text; it can run out of memory too. */
	if (q->out != NULL && fclose(q->out) != 0)
		failed = true;
	if (!failed)
		return q->text;
	free(q->text);
	return NULL;
}
