/* client_tcp: see client_tcp.h. The socket never blocks by itself: poll() does the waiting, so that each call ends at its
 * deadline. SPDX-License-Identifier: MIT */
#include "client/client_tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/wire/packet.h"

static int finish_connect(const struct client_link *l, int64_t deadline_ns)
{
	int error = 0;
	socklen_t len = sizeof(error);
	int rc = client_link_wait(l, POLLOUT, deadline_ns);

	if (rc < 0)
		return rc;
	if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

/* All of it, waiting for the peer up to the deadline. */
static int send_bytes(const struct client_link *l, const uint8_t *bytes, size_t n, int flags, int64_t deadline_ns)
{
	while (n > 0) {
		ssize_t sent = send(l->fd, bytes, n, flags | MSG_NOSIGNAL);
		int rc = sent < 0 ? -errno : 0;

		if (rc == -EAGAIN && (rc = client_link_wait(l, POLLOUT, deadline_ns)) == 0)
			continue;
		if (rc == -EINTR)
			continue;
		if (rc < 0)
			return rc;
		bytes += sent;
		n -= (size_t)sent;
	}
	return 0;
}

static int tcp_send(struct client_link *l, const uint8_t *head, const void *body, size_t body_bytes,
		    int64_t deadline_ns)
{
	/* MSG_MORE: header and body leave in one segment. */
	int rc = send_bytes(l, head, PACKET_HEAD_BYTES, body_bytes > 0 ? MSG_MORE : 0, deadline_ns);

	if (rc == 0 && body_bytes > 0)
		rc = send_bytes(l, body, body_bytes, 0, deadline_ns);
	return rc;
}

/* It polls first, even where bytes are known to wait, so that a server that never stops sending cannot keep us from the
 * deadline or from being cancelled. */
static int tcp_receive(struct client_link *l, uint8_t *buf, size_t max, int64_t deadline_ns, size_t *n)
{
	for (;;) {
		int rc = client_link_wait(l, POLLIN, deadline_ns);
		ssize_t got;

		if (rc < 0)
			return rc;
		got = recv(l->fd, buf, max, 0);
		if (got == 0)
			return -ERR_EOF;
		if (got > 0) {
			*n = (size_t)got;
			return 0;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
}

static void tcp_free(struct client_link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}

static const struct client_link_ops ops = {tcp_send, tcp_receive, tcp_free};

int client_tcp_open(const struct client_options *opt, const struct addrinfo *at, int64_t deadline_ns,
		    struct client_link **out)
{
	struct client_link *l = calloc(1, sizeof(*l));
	int rc = 0, on = 1;

	if (l == NULL)
		return -ENOMEM;
	*l = (struct client_link){.ops = &ops, .cancel_fd = opt->cancel_fd};
	l->fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
	if (l->fd < 0 || setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		rc = -errno;
	else if (connect(l->fd, at->ai_addr, at->ai_addrlen) < 0)
		rc = errno == EINPROGRESS ? finish_connect(l, deadline_ns) : -errno;
	if (rc < 0) {
		tcp_free(l);
		return rc;
	}
	*out = l;
	return 0;
}
