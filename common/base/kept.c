/* kept: see kept.h. SPDX-License-Identifier: MIT */
#include "common/base/kept.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t");
}

/* A whole number from 1 to max; behind it, or NULL. */
static const char *read_number(const char *text, int64_t max, int64_t *out)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return NULL;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && *out >= 1 && *out <= max ? end : NULL;
}

/* A number with one of the units of all times; behind it, or NULL. */
static const char *read_time(const char *text, int64_t *ms)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

	if ((text = read_number(text, KEPT_TTL_MAX_MS, ms)) == NULL)
		return NULL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t n = strlen(units[i].name);

		if (strncmp(text, units[i].name, n) == 0 && !isalnum((unsigned char)text[n])) {
			if (*ms > KEPT_TTL_MAX_MS / units[i].ms)
				return NULL;
			*ms *= units[i].ms;
			return text + n;
		}
	}
	return NULL;
}

/* Messages and time; behind them and their blanks, or NULL. */
static const char *read_history(const char *text, struct kept_type *out)
{
	int64_t messages;

	if ((text = read_number(skip_blanks(text), KEPT_MESSAGES_MAX, &messages)) == NULL || *text != '/' ||
	    (text = read_time(text + 1, &out->ttl_ms)) == NULL)
		return NULL;
	out->messages = (unsigned)messages;
	return skip_blanks(text);
}

static const char *read_type(const char *text, struct kept_type *out)
{
	size_t n = strcspn(text, ":/, \t");

	if (n == 0 || n >= KEPT_TYPE_BYTES || text[n] != ':')
		return NULL;
	memcpy(out->type, text, n);
	out->type[n] = '\0';
	return text[0] != KEPT_USER ? read_history(text + n + 1, out) : NULL;
}

static const struct kept_type *find(const struct kept *k, const char *type, size_t bytes)
{
	for (size_t i = 0; i < k->n; i++)
		if (strncmp(k->types[i].type, type, bytes) == 0 && k->types[i].type[bytes] == '\0')
			return &k->types[i];
	return NULL;
}

static int parse_users(const char *text, struct kept_type *out)
{
	*out = (struct kept_type){0};
	text = skip_blanks(text);
	if (*text == '\0')
		return 0;
	text = read_history(text, out);
	return text != NULL && *text == '\0' ? 0 : -EINVAL;
}

static int parse_rooms(const char *text, struct kept *out)
{
	out->n = 0;
	text = skip_blanks(text);
	if (*text == '\0')
		return 0;
	for (;; text = skip_blanks(text + 1)) {
		struct kept_type *next = &out->types[out->n];

		if (out->n == KEPT_TYPES_MAX || (text = read_type(text, next)) == NULL ||
		    find(out, next->type, strlen(next->type)) != NULL)
			return -EINVAL;
		out->n++;
		if (*text == '\0')
			return 0;
		if (*text != ',')
			return -EINVAL;
	}
}

int kept_parse(const char *rooms, const char *users, struct kept *out)
{
	int rc = parse_rooms(rooms != NULL ? rooms : "", out);

	return rc == 0 ? parse_users(users != NULL ? users : "", &out->users) : rc;
}

const struct kept_type *kept_of(const struct kept *k, const char *room)
{
	const char *end = k->n > 0 ? strstr(room, "://") : NULL;

	return end != NULL && end != room && (size_t)(end - room) < KEPT_TYPE_BYTES
		       ? find(k, room, (size_t)(end - room))
		       : NULL;
}

const struct kept_type *kept_of_stream(const struct kept *k, const char *name)
{
	if (name[0] == KEPT_USER)
		return kept_has_users(k) ? &k->users : NULL;
	return kept_of(k, name);
}
