/* http_text: see http_text.h. SPDX-License-Identifier: MIT */
#include "common/http/http_text.h"

#include <string.h>
#include <strings.h>

bool http_is_token_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
	       (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

bool http_is_token(const char *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!http_is_token_byte(at[i]))
			return false;
	return n > 0;
}

bool http_is_text(const char *at, size_t n, bool with_blanks)
{
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)at[i] <= ' ' && !(with_blanks && http_is_blank(at[i]))) || at[i] == 0x7f)
			return false;
	return true;
}

void http_trim(const char **at, size_t *n)
{
	for (; *n > 0 && http_is_blank((*at)[0]); (*n)--)
		(*at)++;
	while (*n > 0 && http_is_blank((*at)[*n - 1]))
		(*n)--;
}

bool http_lists(const char *list, size_t n, const char *word)
{
	const char *end = list + n;

	for (;;) {
		const char *comma = memchr(list, ',', (size_t)(end - list)), *one = list;
		size_t one_bytes = (size_t)((comma != NULL ? comma : end) - one);

		http_trim(&one, &one_bytes);
		if (one_bytes == strlen(word) && strncasecmp(one, word, one_bytes) == 0)
			return true;
		if (comma == NULL)
			return false;
		list = comma + 1;
	}
}
