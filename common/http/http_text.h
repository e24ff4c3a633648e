/* http_text: the smallest parts of HTTP's grammar, for all who read strangers' headers. Bytes need not end in a zero. Pure.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_TEXT_H
#define COMMON_HTTP_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* RFC 9110, section 5.6.2. A token has one byte at least. */
bool http_is_token_byte(char byte);
bool http_is_token(const char *at, size_t n);

static inline bool http_is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

/* Is there nothing in it that is not to be seen, but for blanks where those may be? */
bool http_is_text(const char *at, size_t n, bool with_blanks);

/* Take off the blanks around it. */
void http_trim(const char **at, size_t *n);

/* Is the word one of a list with commas, in any case? */
bool http_lists(const char *list, size_t n, const char *word);

#endif
