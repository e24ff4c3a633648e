/* peer: see peer.h. SPDX-License-Identifier: MIT */
#include "common/base/peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

void peer_set(struct peer *peer, const struct sockaddr *address)
{
	if (address->sa_family == AF_UNIX)
		peer->any = (struct sockaddr){.sa_family = AF_UNIX}; /* its path, if it has one, says nothing */
	else if (address->sa_family == AF_INET6)
		peer->v6 = *(const struct sockaddr_in6 *)(const void *)address;
	else
		peer->v4 = *(const struct sockaddr_in *)(const void *)address;
}

/* The IPv4 address, also where it is mapped into IPv6; NULL: there is none. */
static const void *v4_of(const struct sockaddr *address)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;

	if (address->sa_family != AF_INET6)
		return &((const struct sockaddr_in *)(const void *)address)->sin_addr;
	return IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? &v6->sin6_addr.s6_addr[12] : NULL;
}

/* As inet_ntop writes it, without printf: each connect needs it twice. */
static void put_v4(const uint8_t *bytes, char text[INET_ADDRSTRLEN])
{
	for (unsigned i = 0; i < 4; i++) {
		if (bytes[i] >= 100)
			*text++ = (char)('0' + bytes[i] / 100);
		if (bytes[i] >= 10)
			*text++ = (char)('0' + bytes[i] / 10 % 10);
		*text++ = (char)('0' + bytes[i] % 10);
		*text++ = i < 3 ? '.' : '\0';
	}
}

bool peer_cidr(const struct sockaddr *address, struct cidr *out)
{
	const void *v4;

	*out = (struct cidr){0};
	if (address->sa_family == AF_UNIX)
		return false;
	v4 = v4_of(address);
	out->family = v4 != NULL ? AF_INET : AF_INET6;
	out->bits = cidr_bits(out);
	memcpy(out->bytes, v4 != NULL ? v4 : &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
	       out->bits / 8);
	return true;
}

void peer_network(const struct sockaddr *address, char network[NETWORK_BYTES])
{
	const void *v4 = v4_of(address);
	struct in6_addr prefix;

	if (address->sa_family == AF_UNIX) {
		(void)snprintf(network, NETWORK_BYTES, "unix");
		return;
	}
	if (v4 != NULL) {
		put_v4(v4, network);
		return;
	}
	prefix = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	memset(&prefix.s6_addr[8], 0, 8);
	(void)inet_ntop(AF_INET6, &prefix, network, NETWORK_BYTES);
}

void peer_text(const struct sockaddr *address, bool with_port, char *text, size_t text_bytes)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
	const void *is_v4 = v4_of(address);
	char host[INET6_ADDRSTRLEN] = "?";
	bool shows_port;

	if (address->sa_family == AF_UNIX) {
		(void)snprintf(text, text_bytes, "unix");
		return;
	}
	/* The port stands at the same place in both. A proxy mostly tells an address without one. */
	shows_port = with_port && v4->sin_port != 0;
	if (is_v4 != NULL && !shows_port && text_bytes >= INET_ADDRSTRLEN) {
		put_v4(is_v4, text);
		return;
	}
	if (is_v4 != NULL)
		put_v4(is_v4, host);
	else
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
	if (shows_port)
		(void)snprintf(text, text_bytes, is_v4 != NULL ? "%s:%u" : "[%s]:%u", host, ntohs(v4->sin_port));
	else
		(void)snprintf(text, text_bytes, "%s", host);
}
