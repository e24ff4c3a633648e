/* http_socket: what is read from a caller's socket and sent over it. Nothing here waits. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_SOCKET_H
#define COMMON_HTTP_HTTP_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

#include "common/http/http_buffer.h"

struct tls;

/* Without TLS: so many bytes; 0: the end; -EAGAIN; -errno */
ssize_t http_socket_recv(int fd, void *bytes, size_t max);
/* What is in the buffer, which is taken off as it goes; tls may be NULL. 0: all is out; -EAGAIN: the caller does not take it now; -errno */
int http_socket_send(int fd, struct tls *tls, struct http_buffer *out);

#endif
