/* http_socket: see http_socket.h. SPDX-License-Identifier: MIT */
#include "common/http/http_socket.h"

#include <errno.h>
#include <sys/socket.h>

#include "common/tls/tls.h"

ssize_t http_socket_recv(int fd, void *bytes, size_t max)
{
	ssize_t n;

	do
		n = recv(fd, bytes, max, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int http_socket_send(int fd, struct tls *tls, struct http_buffer *out)
{
	struct iovec iov;
	size_t written;
	ssize_t n;
	int rc = 0;

	while (http_buffer_count(out) > 0 && rc == 0) {
		iov = (struct iovec){out->bytes + out->start, http_buffer_count(out)};
		if (tls != NULL) {
			rc = tls_write(tls, &iov, 1, 0, &written);
		} else {
			const struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

			n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
			written = n > 0 ? (size_t)n : 0;
			rc = n >= 0 || errno == EINTR ? 0 : -errno;
		}
		http_buffer_take_off(out, written);
	}
	return rc;
}
