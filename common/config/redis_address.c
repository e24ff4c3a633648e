/* redis_address: see redis_address.h. SPDX-License-Identifier: MIT */
#include "common/config/redis_address.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/base/address.h"

#define SCHEME       "redis://"
#define UNIX         "unix:"
#define DEFAULT_PORT ":6379"
#define DB_MAX       65535

static const char forms[] = "must be host:port, [v6]:port, unix:/path or redis://user:password@host:port/db";

/* A host as a name or as an address, and its port. */
static const char *parse_place(const char *text, struct redis_address *out)
{
	struct address a;

	if (text[strcspn(text, ",")] != '\0')
		return "names several; there is one Redis, and Sentinels stand in redis.sentinels";
	if (strpbrk(text, "/@?# \t") != NULL || address_parse(text, &a) < 0 || a.number < 0)
		return forms;
	if (a.host[0] == '\0')
		return "names no host";
	if (a.number == 0)
		return "has port 0, where nobody listens";
	if (text[0] == '[' && !(strchr(a.host, ':') != NULL && address_is_literal(&a)))
		return "has no IPv6 address between its brackets";
	if (snprintf(out->place, sizeof(out->place), "%s", text) >= (int)sizeof(out->place))
		return "is too long";
	return NULL;
}

static const char *parse_path(const char *text, struct redis_address *out)
{
	const struct sockaddr_un at;
	const char *path = text + strlen(UNIX);

	if (path[0] != '/')
		return "must have a whole path behind unix:, from / on";
	if (strlen(path) >= sizeof(at.sun_path))
		return "has a longer path than a socket may have";
	(void)snprintf(out->place, sizeof(out->place), "%s", text);
	return NULL;
}

static int hex(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

/* %40 is one byte. False: too long, or no such bytes. */
static bool decode(const char *from, const char *end, char *to, size_t bytes)
{
	while (from < end && bytes > 1) {
		char c = *from++;

		if (c == '%') {
			if (end - from < 2 || hex(from[0]) < 0 || hex(from[1]) < 0)
				return false;
			c = (char)(hex(from[0]) * 16 + hex(from[1]));
			from += 2;
		}
		if (iscntrl((unsigned char)c))
			return false;
		*to++ = c;
		bytes--;
	}
	*to = '\0';
	return from == end;
}

/* user:password, :password or user. */
static bool parse_login(const char *login, const char *end, struct redis_address *out)
{
	const char *colon = memchr(login, ':', (size_t)(end - login));

	if (!decode(login, colon != NULL ? colon : end, out->user, sizeof(out->user)))
		return false;
	return colon == NULL || decode(colon + 1, end, out->password, sizeof(out->password));
}

static const char *parse_db(const char *text, struct redis_address *out)
{
	char *end;

	if (*text == '\0')
		return NULL;
	out->db = strtol(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end != '\0' || out->db > DB_MAX)
		return "must have the number of a database behind its last /";
	return NULL;
}

static const char *parse_url(const char *text, struct redis_address *out)
{
	const char *at = strrchr(text, '@'), *host = at != NULL ? at + 1 : text;
	size_t bytes = strcspn(host, "/");
	char place[sizeof(out->place)];
	bool has_port = host[0] == '[' ? memmem(host, bytes, "]:", 2) != NULL : memchr(host, ':', bytes) != NULL;
	const char *fault;

	out->has_port = has_port;
	if (at != NULL && !parse_login(text, at, out))
		return "has a user or a password that cannot be read; write / @ : % in them as %2F %40 %3A %25";
	if (bytes + sizeof(DEFAULT_PORT) > sizeof(place))
		return "is too long";
	(void)snprintf(place, sizeof(place), "%.*s%s", (int)bytes, host, has_port ? "" : DEFAULT_PORT);
	if ((fault = parse_place(place, out)) != NULL)
		return fault;
	return host[bytes] == '/' ? parse_db(host + bytes + 1, out) : NULL;
}

const char *redis_address_parse(const char *text, struct redis_address *out)
{
	*out = (struct redis_address){.db = -1, .has_port = true};
	if (strncmp(text, UNIX, strlen(UNIX)) == 0)
		return parse_path(text, out);
	if (strncmp(text, SCHEME, strlen(SCHEME)) == 0)
		return parse_url(text + strlen(SCHEME), out);
	if (strncmp(text, "rediss://", 9) == 0)
		return "asks for TLS, which takes a tunnel: docs/operations.md, A cluster";
	return parse_place(text, out);
}
