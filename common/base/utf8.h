/* utf8: characters in bytes that may be anything. Pure functions. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_UTF8_H
#define COMMON_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at `at` (at < end), 1 to 4. Surrogates, overlong forms and codes above U+10FFFF are none: then 0,
 * and *bad says how many bytes go as one, as far as they could have begun a character (Unicode, section 3.9). */
unsigned utf8_bytes(const uint8_t *at, const uint8_t *end, unsigned *bad);

/* The code point of the character of n bytes at `at`, n being what utf8_bytes said. */
uint32_t utf8_code(const uint8_t *at, unsigned n);

bool utf8_is_valid(const uint8_t *text, size_t text_bytes);

/* As much of the text as there is space for with its zero byte (to_bytes > 0), and never half a character. */
void utf8_copy(char *to, size_t to_bytes, const char *text);

#endif
