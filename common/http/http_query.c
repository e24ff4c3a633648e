/* http_query: see http_query.h. SPDX-License-Identifier: MIT */
#include "common/http/http_query.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/http/http_request.h"

static int hex(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	if (ch >= 'A' && ch <= 'F')
		return ch - 'A' + 10;
	return -1;
}

/* The byte that "%xx" stands for; -EINVAL for a broken one, and for %00, which would end the string. */
static int escaped(const char *text)
{
	int high = hex(text[1]), low = high >= 0 ? hex(text[2]) : -1;

	return low < 0 || (high == 0 && low == 0) ? -EINVAL : high << 4 | low;
}

static bool is_sound(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text == '%' && escaped(text) < 0)
			return false;
	return true;
}

/* Decode a sound text in place. */
static void decode(char *text, char plus)
{
	char *out = text;

	for (; *text != '\0'; text++) {
		if (*text == '%') {
			*out++ = (char)escaped(text);
			text += 2;
		} else {
			*out++ = *text == '+' ? plus : *text;
		}
	}
	*out = '\0';
}

int http_path_decode(char *path)
{
	if (!is_sound(path))
		return -EINVAL;
	decode(path, '+');
	return 0;
}

/* name=value, both decoded where they are. */
static int read_piece(char *piece, struct http_param *param)
{
	char *value = strchr(piece, '=');

	if (!is_sound(piece))
		return -EINVAL;
	if (value != NULL)
		*value++ = '\0';
	else
		value = piece + strlen(piece);
	decode(piece, ' ');
	decode(value, ' ');
	*param = (struct http_param){.name = piece, .value = value};
	return 0;
}

static int grow(struct http_param **params, size_t n)
{
	struct http_param *more;

	/* At 0, 1, 2, 4, 8 ... the space is used up. */
	if ((n & (n - 1)) != 0)
		return 0;
	if ((more = reallocarray(*params, n > 0 ? n * 2 : 1, sizeof(**params))) == NULL)
		return -ENOMEM;
	*params = more;
	return 0;
}

int http_params_decode(char *query, struct http_param **params, size_t *n)
{
	char *piece;
	int rc;

	while ((piece = strsep(&query, "&")) != NULL) {
		if (piece[0] == '\0')
			continue;
		if ((rc = grow(params, *n)) < 0 || (rc = read_piece(piece, &(*params)[*n])) < 0)
			return rc;
		(*n)++;
	}
	return 0;
}
