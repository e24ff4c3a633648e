/* listen: see listen.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/base/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/address.h"

static int resolve(const char *address, struct addrinfo **found)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct address a;

	if (address_parse(address, &a) < 0 || a.port[0] == '\0')
		return -EINVAL;
	return getaddrinfo(a.host[0] != '\0' ? a.host : NULL, a.port, &hints, found) == 0 ? 0 : -EADDRNOTAVAIL;
}

int listen_open(const char *address, int backlog, bool reuse_port, int *out)
{
	struct addrinfo *found;
	int on = 1, fd, rc;

	if ((rc = resolve(address, &found)) < 0)
		return rc;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
	    bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, backlog) < 0) {
		rc = -errno;
		if (fd >= 0)
			(void)close(fd);
	} else {
		*out = fd;
	}
	freeaddrinfo(found);
	return rc;
}

int listen_announce(int fd, const char *label, uint16_t *port)
{
	union {
		struct sockaddr_storage longest;
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} bound = {0};
	socklen_t bytes = sizeof(bound);
	char host[64] = "?";
	bool is_v6;

	if (getsockname(fd, &bound.any, &bytes) < 0)
		return -errno;
	is_v6 = bound.any.sa_family == AF_INET6;
	*port = ntohs(is_v6 ? bound.v6.sin6_port : bound.v4.sin_port);
	(void)getnameinfo(&bound.any, bytes, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	(void)printf(is_v6 ? "listening %s [%s]:%u\n" : "listening %s %s:%u\n", label, host, *port);
	(void)fflush(stdout);
	return 0;
}

bool listen_error_is_passing(int rc)
{
	return rc == -EINTR || rc == -ECONNABORTED || rc == -EPROTO || rc == -EPERM || rc == -ENOPROTOOPT ||
	       rc == -ENONET || rc == -ENETDOWN || rc == -ENETUNREACH || rc == -EHOSTDOWN || rc == -EHOSTUNREACH;
}
