/* query: see query.h. SPDX-License-Identifier: MIT */
#include "cli/query.h"

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

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

static bool is_among(const char *word, const char *among)
{
	char one[16];

	while (command_next_word(&among, one, sizeof(one)))
		if (strcmp(one, word) == 0)
			return true;
	return false;
}

const char *query_add_whom(struct query *q, const char *kinds, char *const words[2], bool whole)
{
	char param[16];

	if (!is_among(words[0], kinds))
		return words[0];
	/* The tokens of a user are many already. */
	(void)snprintf(param, sizeof(param), "%s%s", words[0], strcmp(words[0], "tokens") == 0 ? "" : "s");
	return query_add_list(q, param, words[1], whole) > 0 ? NULL : words[1];
}

/* NULL: it has a form other than TYPE://ID. */
static const char *id_of(const char *room)
{
	const char *split = strstr(room, "://");

	return split != NULL && split != room && split[3] != '\0' ? split + 3 : NULL;
}

bool query_add_room(struct query *q, const char *name, const char *room)
{
	const char *id = id_of(room);

	if (id == NULL)
		return false;
	query_add_bytes(q, "type", room, (size_t)(id - 3 - room));
	query_add(q, name, id);
	return true;
}

const char *query_add_rooms(struct query *q, const char *name, int n, char *const *rooms)
{
	if (n > 0 && !query_add_room(q, name, rooms[0]))
		return rooms[0];
	for (int i = 1; i < n; i++) {
		const char *id = id_of(rooms[i]);

		if (id == NULL || strncmp(rooms[i], rooms[0], (size_t)(id - rooms[i])) != 0)
			return rooms[i];
		query_add(q, name, id);
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
