/* origins: see origins.h. SPDX-License-Identifier: MIT */
#include "common/config/origins.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/address.h"
#include "common/config/config.h"

/* ---- may it connect? ---- */

static bool is_host_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
	       byte == '-' || byte == '.' || byte == '_';
}

static bool are_host_bytes(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_host_byte(text[i]))
			return false;
	return n > 0;
}

static bool matches(const char *entry, const char *origin, size_t n)
{
	const char *star = strchr(entry, '*');
	size_t before, behind;

	if (star == NULL)
		return n == strlen(entry) && strncasecmp(entry, origin, n) == 0;
	before = (size_t)(star - entry);
	behind = strlen(star + 1);
	return n > before + behind && strncasecmp(entry, origin, before) == 0 &&
	       strncasecmp(star + 1, origin + n - behind, behind) == 0 &&
	       (strcmp(entry, "*") == 0 || are_host_bytes(origin + before, n - before - behind));
}

static bool parse(const char *text, size_t n, struct address *a)
{
	char copy[ORIGIN_BYTES];

	if (n >= sizeof(copy))
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	return strlen(copy) == n && address_parse(copy, a) == 0;
}

static bool is_here(const char *origin, size_t n, const char *host, size_t host_bytes)
{
	const char *slashes = memmem(origin, n, "://", 3);
	struct address page, server;

	if (slashes == NULL || !parse(slashes + 3, n - (size_t)(slashes + 3 - origin), &page))
		return false;
	return address_is_loopback(&page) ||
	       (parse(host, host_bytes, &server) && server.host[0] != '\0' && strcasecmp(page.host, server.host) == 0);
}

bool origins_let_in(const struct origins *o, const char *origin, size_t origin_bytes, const char *host,
		    size_t host_bytes)
{
	const char *rest = o->list;
	char entry[ORIGIN_BYTES];

	if (rest[0] == '\0')
		return !o->loopback_only || is_here(origin, origin_bytes, host, host_bytes);
	while (config_list_next(&rest, entry, sizeof(entry)))
		if (matches(entry, origin, origin_bytes))
			return true;
	return false;
}

/* ---- the settings ---- */

static bool are_loopback(const char *list)
{
	char text[256];
	struct address a;

	while (config_list_next(&list, text, sizeof(text)))
		if (address_parse(text, &a) < 0 || !address_is_loopback(&a))
			return false;
	return true;
}

struct origins origins_of(const struct config *cfg)
{
	return (struct origins){
		.list = cfg->websocket_origins,
		.loopback_only = cfg->auth_mode == CONFIG_AUTH_OPEN && are_loopback(cfg->websocket_bind) &&
				 are_loopback(cfg->websocket_tls_bind),
	};
}

/* ---- can it match? ---- */

/* The text before ://, which is taken off *rest with it; empty where there is none. */
static void take_scheme(const char **rest, char scheme[ORIGIN_BYTES])
{
	const char *slashes = strstr(*rest, "://");

	scheme[0] = '\0';
	if (slashes == NULL)
		return;
	(void)snprintf(scheme, ORIGIN_BYTES, "%.*s", (int)(slashes - *rest), *rest);
	*rest = slashes + 3;
}

/* A page has not the scheme of its WebSockets; and where an entry has none, a page of this machine is mostly without TLS. */
static const char *scheme_of_page(const char *scheme, const struct address *a)
{
	if (scheme[0] == '\0')
		return address_is_loopback(a) || a->number == 80 ? "http" : "https";
	if (strcasecmp(scheme, "wss") == 0)
		return "https";
	return strcasecmp(scheme, "ws") == 0 ? "http" : scheme;
}

/* What browsers leave out. */
static bool is_default_port(const char *scheme, int port)
{
	return (strcasecmp(scheme, "https") == 0 && port == 443) || (strcasecmp(scheme, "http") == 0 && port == 80);
}

/* As browsers write it, in brackets where it is an address of version 6. False: none of them would. */
static bool spell_host(const char *host, char out[ORIGIN_BYTES])
{
	char v6[INET6_ADDRSTRLEN];
	struct in6_addr any;
	bool star = host[0] == '*';

	if (inet_pton(AF_INET6, host, &any) == 1) {
		(void)snprintf(out, ORIGIN_BYTES, "[%s]", inet_ntop(AF_INET6, &any, v6, sizeof(v6)));
		return true;
	}
	host += star;
	host += star && host[0] == '.';
	if (!are_host_bytes(host, strlen(host)))
		return false;
	(void)snprintf(out, ORIGIN_BYTES, "%s%s", star ? "*." : "", host);
	return true;
}

bool origins_nearest(const char *entry, char nearest[ORIGIN_BYTES])
{
	char text[ORIGIN_BYTES], host[ORIGIN_BYTES];
	const char *rest = entry, *scheme;
	struct address a;
	int n;

	if (strcmp(entry, "*") == 0 || strcmp(entry, "null") == 0) {
		(void)snprintf(nearest, ORIGIN_BYTES, "%s", entry);
		return true;
	}
	take_scheme(&rest, text);
	if (!parse(rest, strcspn(rest, "/?#"), &a) || !spell_host(a.host, host) || (a.port[0] != '\0' && a.number < 0))
		return false;
	scheme = scheme_of_page(text, &a);
	if (a.number < 0 || is_default_port(scheme, a.number))
		n = snprintf(nearest, ORIGIN_BYTES, "%s://%s", scheme, host);
	else
		n = snprintf(nearest, ORIGIN_BYTES, "%s://%s:%d", scheme, host, a.number);
	return n < ORIGIN_BYTES - 1 && are_host_bytes(scheme, strlen(scheme));
}
