/* redis_words: see redis_words.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_words.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* "$12\r\n" */
#define HEAD_BYTES 24

static char *put_head(char *at, char kind, size_t number)
{
	char digits[HEAD_BYTES], *first = digits + sizeof(digits);

	do
		*--first = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	*at++ = kind;
	memcpy(at, first, (size_t)(digits + sizeof(digits) - first));
	at += digits + sizeof(digits) - first;
	memcpy(at, "\r\n", 2);
	return at + 2;
}

int redis_words(int n, const char *const *words, const size_t *bytes, char **command)
{
	size_t most = HEAD_BYTES + 1;
	char *at;

	for (int i = 0; i < n; i++)
		most += HEAD_BYTES + (bytes != NULL ? bytes[i] : strlen(words[i])) + 2;
	if (most > INT_MAX || (*command = malloc(most)) == NULL)
		return -ENOMEM;
	at = put_head(*command, '*', (size_t)n);
	for (int i = 0; i < n; i++) {
		const size_t length = bytes != NULL ? bytes[i] : strlen(words[i]);

		at = put_head(at, '$', length);
		memcpy(at, words[i], length);
		memcpy(at + length, "\r\n", 2);
		at += length + 2;
	}
	*at = '\0';
	return (int)(at - *command);
}
