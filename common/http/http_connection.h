/* http_connection: one connection of the HTTP server, from its first byte to its last. It is parked while there is nothing to read
 * or to write; a thread has it for a request, and waits for nothing but what a handler waits for.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_CONNECTION_H
#define COMMON_HTTP_HTTP_CONNECTION_H

#include <sys/socket.h>

#include "common/base/park.h"
#include "common/http/http_service.h"
#include "common/tls/tls.h"

/* Take over fd, connected with this peer; also on an error. tls: NULL for bytes as they are.
 * 0, or -errno: a limit of the machine. One for which there is no place is told, and that is no error. */
int http_connection_start(struct http_service *service, int fd, const struct sockaddr *peer, struct tls_server *tls);

/* The park's `resume`: something has come. */
void http_connection_resume(struct parked *parked);

#endif
