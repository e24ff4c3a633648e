/* peer: see peer.h. SPDX-License-Identifier: MIT */
#include "comet/transport/peer.h"

#include <arpa/inet.h>
#include <stdio.h>

void peer_set(struct peer *peer, const struct sockaddr *address)
{
	if (address->sa_family == AF_INET6)
		peer->v6 = *(const struct sockaddr_in6 *)(const void *)address;
	else
		peer->v4 = *(const struct sockaddr_in *)(const void *)address;
}

void peer_text(const struct sockaddr *address, bool with_port, char *text, size_t text_bytes)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
	bool is_v6 = address->sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
	char host[INET6_ADDRSTRLEN] = "?";

	if (is_v6)
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
	else if (address->sa_family == AF_INET6)
		(void)inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], host, sizeof(host));
	else
		(void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
	/* The port stands at the same place in both. */
	if (with_port)
		(void)snprintf(text, text_bytes, is_v6 ? "[%s]:%u" : "%s:%u", host, ntohs(v4->sin_port));
	else
		(void)snprintf(text, text_bytes, "%s", host);
}
