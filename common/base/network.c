/* network: see network.h. SPDX-License-Identifier: MIT */
#include "common/base/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/strmap.h"

const char *network_of(const char *address, char network[NETWORK_BYTES])
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr v6;

	if (inet_pton(AF_INET6, address, &v6) != 1)
		return address;
	if (IN6_IS_ADDR_V4MAPPED(&v6)) {
		(void)inet_ntop(AF_INET, &v6.s6_addr[12], network, NETWORK_BYTES);
		return network;
	}
	memset(&v6.s6_addr[8], 0, 8);
	(void)inet_ntop(AF_INET6, &v6, text, sizeof(text));
	(void)snprintf(network, NETWORK_BYTES, "%s/64", text);
	return network;
}

uint64_t network_hash(const char *address)
{
	char network[NETWORK_BYTES];

	return strmap_hash(network_of(address, network));
}

bool network_is_literal(const char *host)
{
	char name[INET6_ADDRSTRLEN + 2];
	struct in6_addr address;
	size_t n;

	if (host[0] == '[') {
		n = strcspn(++host, "]");
		if (host[n] == '\0')
			return false;
	} else {
		n = strcspn(host, ":");
	}
	if (n >= sizeof(name))
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &address) == 1 ||
	       inet_pton(AF_INET6, name, &address) == 1;
}
