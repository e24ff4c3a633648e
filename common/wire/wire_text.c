/* wire_text: see wire_text.h. Pure functions. SPDX-License-Identifier: MIT */
#include "common/wire/wire_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *base64_encode(const uint8_t *in, size_t n)
{
	char *text = malloc((n + 2) / 3 * 4 + 1);
	char *out = text;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < n; i += 3) {
		unsigned bits = (unsigned)in[i] << 16;

		if (i + 1 < n)
			bits |= (unsigned)in[i + 1] << 8;
		if (i + 2 < n)
			bits |= in[i + 2];
		*out++ = alphabet[bits >> 18];
		*out++ = alphabet[bits >> 12 & 63];
		*out++ = i + 1 < n ? alphabet[bits >> 6 & 63] : '=';
		*out++ = i + 2 < n ? alphabet[bits & 63] : '=';
	}
	*out = '\0';
	return text;
}

/* The value of one letter, or -1. */
static int digit(char c)
{
	const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

	return at != NULL ? (int)(at - alphabet) : -1;
}

/* Padding is asked for, white space is not allowed: the writer of this can do it right. */
static int base64_decode(const char *text, size_t n, uint8_t **out, size_t *out_bytes)
{
	size_t pad = n >= 1 && text[n - 1] == '=' ? (n >= 2 && text[n - 2] == '=' ? 2 : 1) : 0;
	uint8_t *bytes;
	size_t used = 0;
	unsigned bits = 0;

	if (n % 4 != 0)
		return -EBADMSG;
	if ((bytes = malloc(n / 4 * 3 + 1)) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int d = i < n - pad ? digit(text[i]) : 0;

		if (d < 0) {
			free(bytes);
			return -EBADMSG;
		}
		bits = bits << 6 | (unsigned)d;
		if (i % 4 == 3) {
			bytes[used++] = (uint8_t)(bits >> 16);
			bytes[used++] = (uint8_t)(bits >> 8);
			bytes[used++] = (uint8_t)bits;
			bits = 0;
		}
	}
	*out = bytes;
	*out_bytes = used - pad;
	return 0;
}

int wire_text_set(json_t *object, const char *name, const void *bytes, size_t n)
{
	/* It refuses what is not UTF-8. Zero bytes are UTF-8, but many readers of JSON stumble over them. */
	json_t *plain = n > 0 && memchr(bytes, '\0', n) != NULL ? NULL : json_stringn(n > 0 ? bytes : "", n);
	char *text, name64[32];
	int rc;

	if (plain != NULL)
		return json_object_set_new(object, name, plain) < 0 ? -ENOMEM : 0;
	if ((text = base64_encode(bytes, n)) == NULL)
		return -ENOMEM;
	(void)snprintf(name64, sizeof(name64), "%s64", name);
	rc = json_object_set_new(object, name64, json_string(text)) < 0 ? -ENOMEM : 0;
	free(text);
	return rc;
}

int wire_text_get(const json_t *object, const char *name, const uint8_t **bytes, size_t *n, void **owned)
{
	const json_t *plain = json_object_get(object, name);
	const json_t *encoded;
	char name64[32];
	uint8_t *decoded;
	int rc;

	*bytes = (const uint8_t *)"";
	*n = 0;
	if (json_is_string(plain)) {
		*bytes = (const uint8_t *)json_string_value(plain);
		*n = json_string_length(plain);
		return 0;
	}
	(void)snprintf(name64, sizeof(name64), "%s64", name);
	encoded = json_object_get(object, name64);
	if (plain != NULL || (encoded != NULL && !json_is_string(encoded)))
		return -EBADMSG;
	if (encoded == NULL)
		return 0;
	rc = base64_decode(json_string_value(encoded), json_string_length(encoded), &decoded, n);
	if (rc < 0)
		return rc;
	*bytes = decoded;
	*owned = decoded;
	return 0;
}
