/* user: see user.h. SPDX-License-Identifier: MIT */
#include "common/wire/user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/kept.h"
#include "common/base/utf8.h"

/* Of at most 128 bytes, and of characters that are none of control: C0, DEL, C1. */
static bool is_string(const char *text, size_t n)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + n;
	unsigned bytes, bad;

	if (n == 0 || n >= USER_BYTES)
		return false;
	for (; at < end; at += bytes) {
		uint32_t code;

		if ((bytes = utf8_bytes(at, end, &bad)) == 0)
			return false;
		code = utf8_code(at, bytes);
		if (code < 0x20 || (code >= 0x7f && code < 0xa0))
			return false;
	}
	return true;
}

bool user_read(const char *text, size_t bytes, struct user *out)
{
	char back[USER_BYTES];

	*out = (struct user){0};
	if (!is_string(text, bytes))
		return false;
	/* A number that is out of range becomes another one, and its text another text. */
	out->mid = strtoll(text, NULL, 10);
	if (strcmp(user_text(out, back), text) != 0)
		*out = (struct user){.name = text};
	return true;
}

bool user_is_somebody(const struct user *user)
{
	return user->name != NULL || user->mid > 0;
}

bool user_equal(const struct user *a, const struct user *b)
{
	if (a->name == NULL || b->name == NULL)
		return a->name == b->name && a->mid == b->mid;
	return strcmp(a->name, b->name) == 0;
}

/* Without snprintf, since each push to a number looks for its text. */
static const char *mid_text(int64_t mid, char text[USER_BYTES])
{
	uint64_t rest = mid < 0 ? 0 - (uint64_t)mid : (uint64_t)mid;
	char digits[20];
	size_t n = 0, at = 0;

	do
		digits[n++] = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (mid < 0)
		text[at++] = '-';
	while (n > 0)
		text[at++] = digits[--n];
	text[at] = '\0';
	return text;
}

const char *user_text(const struct user *user, char text[USER_BYTES])
{
	return user->name != NULL ? user->name : mid_text(user->mid, text);
}

static bool needs_escape(char c, bool is_first)
{
	return c == '%' || c == '_' || c == ' ' || (c == '-' && is_first);
}

const char *user_escaped(const struct user *user, char text[USER_ESCAPED_BYTES])
{
	size_t n = 0;

	if (user->name == NULL)
		return mid_text(user->mid, text);
	for (const char *c = user->name; *c != '\0'; c++)
		if (needs_escape(*c, c == user->name))
			n += (size_t)snprintf(text + n, USER_ESCAPED_BYTES - n, "%%%02X", (unsigned)*c);
		else
			text[n++] = *c;
	text[n] = '\0';
	return text;
}

const char *user_stream(const struct user *user, char name[USER_STREAM_BYTES])
{
	name[0] = KEPT_USER;
	(void)user_escaped(user, name + 1);
	return name;
}

struct log_field user_log(const struct user *user)
{
	return user->name != NULL ? log_str("user", user->name) : log_i64("mid", user->mid);
}
