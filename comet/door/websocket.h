/* websocket: the WebSocket doors, on libwebsockets. A few service threads, each with a context of its own, speak HTTP,
 * WebSocket and TLS; each connection has its reader and dispatcher as a TCP connection has, from the end of the WebSocket
 * handshake on. SPDX-License-Identifier: MIT */
#ifndef COMET_DOOR_WEBSOCKET_H
#define COMET_DOOR_WEBSOCKET_H

#include <sys/socket.h>

#include "comet/server.h"
#include "comet/transport/tls.h"

struct websocket;

/* Start the service threads. `certs` is what websocket_let_in_tls shows, or NULL. 0, or -errno with a log line. */
int websocket_start(struct server *s, struct tls_certs *certs, struct websocket **out);
/* No connection is left in the server. Joins the threads. */
void websocket_stop(struct websocket **ws);

/* The doors' functions, as accept.h wants them; arg is the struct websocket. */
int websocket_let_in(void *arg, int fd, const struct sockaddr *peer, enum ticket *ticket);
int websocket_let_in_tls(void *arg, int fd, const struct sockaddr *peer, enum ticket *ticket);
void websocket_turn_away(void *arg, int fd, enum close_reason why);

#endif
