/* base64url: see base64url.h. SPDX-License-Identifier: MIT */
#include "logic/base64url.h"

#include <errno.h>
#include <stdlib.h>

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int base64url_decode(const char *text, size_t n, uint8_t **out, size_t *bytes)
{
	unsigned bits = 0, held = 0;

	*out = NULL;
	*bytes = 0;
	if (n % 4 == 1)
		return -EBADMSG;
	if ((*out = malloc(n / 4 * 3 + 3)) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int d = digit(text[i]);

		if (d < 0)
			return -EBADMSG;
		bits = bits << 6 | (unsigned)d;
		held += 6;
		if (held >= 8) {
			held -= 8;
			(*out)[(*bytes)++] = (uint8_t)(bits >> held);
			bits &= (1u << held) - 1;
		}
	}
	return bits == 0 ? 0 : -EBADMSG;
}
