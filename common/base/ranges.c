/* ranges: see ranges.h. SPDX-License-Identifier: MIT */
#include "common/base/ranges.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

static const char *skip_blanks(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

/* Behind the number, or NULL. */
static const char *read_number(const char *text, int32_t *out)
{
	char *end;
	long long value;

	if (!isdigit((unsigned char)*text) && !(*text == '-' && isdigit((unsigned char)text[1])))
		return NULL;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || value < INT32_MIN || value > INT32_MAX)
		return NULL;
	*out = (int32_t)value;
	return end;
}

static const char *read_range(const char *text, struct range *out)
{
	if ((text = read_number(text, &out->from)) == NULL)
		return NULL;
	out->to = out->from;
	if (*text == '-' && (text = read_number(text + 1, &out->to)) == NULL)
		return NULL;
	return out->from <= out->to ? skip_blanks(text) : NULL;
}

int ranges_parse(const char *text, struct ranges *out)
{
	out->n = 0;
	text = skip_blanks(text);
	if (*text == '\0')
		return 0;
	for (;; text = skip_blanks(text + 1)) {
		if (out->n == RANGES_MAX || (text = read_range(text, &out->list[out->n])) == NULL)
			return -EINVAL;
		out->n++;
		if (*text == '\0')
			return 0;
		if (*text != ',')
			return -EINVAL;
	}
}

bool ranges_have(const struct ranges *r, int32_t number)
{
	for (size_t i = 0; i < r->n; i++)
		if (number >= r->list[i].from && number <= r->list[i].to)
			return true;
	return false;
}
