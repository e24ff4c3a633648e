/* tcp_pair: two ends of a connection over TCP, for what a socketpair does in another way. SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_TCP_PAIR_H
#define TESTS_UNIT_TCP_PAIR_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/obj.h"

/* As a door takes it in: ends[1] is the client's. Where that one closes last no port is left to wait. */
static inline void tcp_pair(int ends[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(at);
	const struct linger none = {.l_onoff = 1};
	const int on = 1;
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	BUG_UNLESS(door >= 0 && bind(door, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(door, 1) == 0);
	BUG_UNLESS(getsockname(door, (struct sockaddr *)&at, &bytes) == 0);
	BUG_UNLESS((ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
	BUG_UNLESS(connect(ends[1], (const struct sockaddr *)&at, sizeof(at)) == 0);
	BUG_UNLESS((ends[0] = accept(door, NULL, NULL)) >= 0);
	(void)close(door);
	BUG_UNLESS(setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0);
	for (unsigned i = 0; i < 2; i++)
		BUG_UNLESS(setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
}

#endif
