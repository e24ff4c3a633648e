/* tcp_pair: two ends of a connection over TCP, for what a socketpair does in another way, or one end that listens. SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_TCP_PAIR_H
#define TESTS_UNIT_TCP_PAIR_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/obj.h"

/* A socket that listens on the loopback network, on a port that was free. */
static inline int tcp_listen(uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	BUG_UNLESS(listener >= 0 && bind(listener, (const struct sockaddr *)&at, sizeof(at)) == 0);
	BUG_UNLESS(listen(listener, 4) == 0 && getsockname(listener, (struct sockaddr *)&at, &bytes) == 0);
	*port = ntohs(at.sin_port);
	return listener;
}

/* As a door takes it in: ends[1] is the client's. Where that one closes last no port is left to wait. */
static inline void tcp_pair(int ends[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct linger none = {.l_onoff = 1};
	const int on = 1;
	uint16_t port;
	int door = tcp_listen(&port);

	at.sin_port = htons(port);
	BUG_UNLESS((ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
	BUG_UNLESS(connect(ends[1], (const struct sockaddr *)&at, sizeof(at)) == 0);
	BUG_UNLESS((ends[0] = accept(door, NULL, NULL)) >= 0);
	(void)close(door);
	BUG_UNLESS(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0);
	for (unsigned i = 0; i < 2; i++)
		BUG_UNLESS(setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
}

#endif
