/* utf8: see utf8.h. SPDX-License-Identifier: MIT */
#include "common/base/utf8.h"

#include <string.h>

unsigned utf8_bytes(const uint8_t *at, const uint8_t *end, unsigned *bad)
{
	uint8_t low = 0x80, high = 0xbf;
	unsigned n = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;

	if (at[0] == 0xe0)
		low = 0xa0;
	else if (at[0] == 0xed)
		high = 0x9f;
	else if (at[0] == 0xf0)
		low = 0x90;
	else if (at[0] == 0xf4)
		high = 0x8f;
	for (unsigned i = 1; i < n; i++) {
		if (at + i == end || at[i] < low || at[i] > high) {
			*bad = i;
			return 0;
		}
		low = 0x80;
		high = 0xbf;
	}
	*bad = 1;
	return n;
}

uint32_t utf8_code(const uint8_t *at, unsigned n)
{
	uint32_t code = n == 1 ? at[0] : at[0] & (0x7fU >> n);

	for (unsigned i = 1; i < n; i++)
		code = code << 6 | (at[i] & 0x3f);
	return code;
}

bool utf8_is_valid(const uint8_t *text, size_t text_bytes)
{
	const uint8_t *end = text + text_bytes;

	while (text < end) {
		unsigned bad, n = utf8_bytes(text, end, &bad);

		if (n == 0)
			return false;
		text += n;
	}
	return true;
}

void utf8_copy(char *to, size_t to_bytes, const char *text)
{
	size_t n = strnlen(text, to_bytes);

	if (n == to_bytes)
		n--;
	/* Back to the first byte of the character that is cut; at the end of the text there is none. */
	while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80)
		n--;
	memcpy(to, text, n);
	to[n] = '\0';
}
