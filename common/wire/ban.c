/* ban: see ban.h. SPDX-License-Identifier: MIT */
#include "common/wire/ban.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/cidr.h"

static const struct {
	char letter; /* in front of the name, so that users and keys do not share a name space */
	const char *name;
} kinds[BAN_KINDS] = {
	[BAN_USER] = {'u', "user"},
	[BAN_KEY] = {'k', "key"},
	[BAN_NETWORK] = {'n', "network"},
	[BAN_TOKENS] = {'t', "tokens"},
};

const char *ban_kind_name(enum ban_kind kind)
{
	return kinds[kind].name;
}

void ban_field(const struct ban *ban, char field[BAN_FIELD_BYTES])
{
	size_t n = strnlen(ban->name, WIRE_KEY_BYTES - 1);

	field[0] = kinds[ban->kind].letter;
	field[1] = ':';
	memcpy(field + 2, ban->name, n);
	field[n + 2] = '\0';
}

void ban_value(const struct ban *ban, char value[BAN_VALUE_BYTES])
{
	(void)snprintf(value, BAN_VALUE_BYTES, "%" PRIu64 " %" PRId64 " %" PRId64 " %d %" PRId64, ban->stamp,
		       ban->until_ms, ban->keep_ms, ban->lifted ? 1 : 0, ban->before_s);
}

/* One number of digits, at most 18, and what stands behind it. */
static bool read_number(const char **text, char behind, int64_t *out)
{
	size_t digits = strspn(*text, "0123456789");

	if (digits == 0 || digits > 18 || (*text)[digits] != behind)
		return false;
	*out = strtoll(*text, NULL, 10);
	*text += digits + 1;
	return true;
}

int ban_read(const char *field, const char *value, struct ban *out)
{
	enum ban_kind kind = 0;
	int64_t stamp, lifted;

	while (kind < BAN_KINDS && kinds[kind].letter != field[0])
		kind++;
	if (kind == BAN_KINDS || field[1] != ':' || !ban_name_is_good(kind, field + 2))
		return -EBADMSG;
	*out = (struct ban){.kind = kind, .name = field + 2};
	if (!read_number(&value, ' ', &stamp) || !read_number(&value, ' ', &out->until_ms) ||
	    !read_number(&value, ' ', &out->keep_ms) || !read_number(&value, ' ', &lifted) ||
	    !read_number(&value, '\0', &out->before_s) || lifted > 1)
		return -EBADMSG;
	out->stamp = (uint64_t)stamp;
	out->lifted = lifted == 1;
	return 0;
}

bool ban_name_is_good(enum ban_kind kind, const char *name)
{
	size_t n = strlen(name);
	struct cidr network;
	char text[CIDR_BYTES];

	if (n == 0 || n >= WIRE_KEY_BYTES)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return false;
	if (kind != BAN_NETWORK)
		return true;
	if (cidr_read(name, &network) != NULL)
		return false;
	cidr_text(&network, text);
	return strcmp(name, text) == 0;
}

void ban_time(int64_t ms, char text[BAN_TIME_BYTES])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL || strftime(text, BAN_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)snprintf(text, BAN_TIME_BYTES, "%" PRId64, ms);
}
