/* socket_options: see socket_options.h. SPDX-License-Identifier: MIT */
#include "comet/door/socket_options.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/time.h>

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

int socket_options_set(const struct config *cfg, int fd, bool is_path)
{
	const struct timeval write_timeout = {.tv_sec = cfg->protocol_write_timeout / 1000,
					      .tv_usec = cfg->protocol_write_timeout % 1000 * 1000};
	const struct option {
		bool wanted;
		int level, name, value;
	} options[] = {
		{true, IPPROTO_TCP, TCP_NODELAY, 1},
		{cfg->tcp_keepalive, SOL_SOCKET, SO_KEEPALIVE, 1},
		/* Whole seconds for the kernel. */
		{cfg->tcp_keepalive, IPPROTO_TCP, TCP_KEEPIDLE, (int)((cfg->tcp_keepalive_idle + 999) / 1000)},
		{cfg->tcp_keepalive, IPPROTO_TCP, TCP_KEEPINTVL, (int)((cfg->tcp_keepalive_interval + 999) / 1000)},
		{cfg->tcp_keepalive, IPPROTO_TCP, TCP_KEEPCNT, (int)cfg->tcp_keepalive_count},
		{cfg->tcp_user_timeout > 0, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)cfg->tcp_user_timeout},
		{cfg->tcp_sndbuf > 0, SOL_SOCKET, SO_SNDBUF, (int)cfg->tcp_sndbuf},
		{cfg->tcp_rcvbuf > 0, SOL_SOCKET, SO_RCVBUF, (int)cfg->tcp_rcvbuf},
	};
	int rc = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &write_timeout, sizeof(write_timeout)) < 0 ? -errno : 0;

	for (size_t i = 0; rc == 0 && i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].wanted && !(is_path && options[i].level == IPPROTO_TCP))
			rc = set(fd, options[i].level, options[i].name, options[i].value);
	return rc;
}
