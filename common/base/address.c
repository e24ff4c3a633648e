/* address: see address.h. SPDX-License-Identifier: MIT */
#include "common/base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int number_of(const char *port)
{
	size_t digits = strspn(port, "0123456789");
	long number = strtol(port, NULL, 10);

	return digits > 0 && digits <= 5 && port[digits] == '\0' && number <= 65535 ? (int)number : -1;
}

/* Where the host ends; *host is moved past its bracket, *port to the port's first byte, or to the end. NULL: neither form. */
static const char *end_of_host(const char **host, const char **port)
{
	const char *colon = strchr(*host, ':'), *end;

	if (**host == '[') {
		end = strchr(++*host, ']');
		if (end == NULL || (end[1] != ':' && end[1] != '\0'))
			return NULL;
		*port = end + 1 + (end[1] == ':');
		return end;
	}
	end = colon != NULL && strchr(colon + 1, ':') == NULL ? colon : *host + strlen(*host);
	*port = end + (*end == ':');
	return end;
}

int address_parse(const char *text, struct address *a)
{
	const char *host = text, *port, *end = end_of_host(&host, &port);

	*a = (struct address){.number = -1};
	if (end == NULL || (size_t)(end - host) >= sizeof(a->host) || strlen(port) >= sizeof(a->port) ||
	    strchr(port, ':') != NULL)
		return -EINVAL;
	memcpy(a->host, host, (size_t)(end - host));
	memcpy(a->port, port, strlen(port));
	a->number = number_of(port);
	return 0;
}

bool address_is_loopback(const struct address *a)
{
	struct in_addr v4;

	if (strcmp(a->host, "localhost") == 0 || strcmp(a->host, "::1") == 0)
		return true;
	return inet_pton(AF_INET, a->host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

bool address_is_wildcard(const struct address *a)
{
	static const char *const wildcards[] = {"", "0.0.0.0", "::", "*"};

	for (size_t i = 0; i < sizeof(wildcards) / sizeof(wildcards[0]); i++)
		if (strcmp(a->host, wildcards[i]) == 0)
			return true;
	return false;
}

bool address_is_literal(const struct address *a)
{
	struct in6_addr any;

	return inet_pton(AF_INET, a->host, &any) == 1 || inet_pton(AF_INET6, a->host, &any) == 1;
}
