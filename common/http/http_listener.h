/* http_listener: one address of the HTTP server and the thread that accepts on it. A limit of the machine slows accepting
 * down and never ends it. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_LISTENER_H
#define COMMON_HTTP_HTTP_LISTENER_H

#include <sys/socket.h>

#include "common/base/listen.h"

struct http_listener;

/* Takes over the descriptor of one connection, or closes it; may wait. 0, or -errno: a limit of the machine, wait a little
 * with the next. */
typedef int http_listener_take(void *arg, int fd, const struct sockaddr *peer, socklen_t peer_bytes);

/* Listen as listen.h says, print "listening <label> <address>" with the port that it got, and
 * accept. 0 or -errno. */
int http_listener_start(const char *address, const char *label, const struct listen_options *opt,
			http_listener_take *take, void *arg, struct http_listener **out);
/* take is not called any more; one that waits must have been told to return. *l becomes NULL. */
void http_listener_stop(struct http_listener **l);

#endif
