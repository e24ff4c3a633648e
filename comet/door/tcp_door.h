/* tcp_door: makes of a socket that was accepted a transport (tcp, or a WebSocket over it), a connection and a reader.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_DOOR_TCP_DOOR_H
#define COMET_DOOR_TCP_DOOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "comet/server.h"
#include "comet/transport/ws.h"
#include "comet/transport/ws_ping.h"
#include "common/config/origins.h"
#include "common/tls/tls.h"

struct tcp_door {
	/* set once */
	struct server *server;
	struct tls_server *tls; /* NULL: no TLS */
	bool websocket;
	/* of a WebSocket */
	struct origins origins;
	struct ws_ping_times ping;
	struct ws_proxies proxies;
	/* any thread that lets in */
	atomic_uint accepted; /* the round's turn */
};

/* As accept.h wants them; arg is the struct tcp_door. */
int tcp_door_let_in(void *arg, int fd, const struct sockaddr *peer, bool for_other, enum ticket *ticket);
void tcp_door_turn_away(void *arg, int fd, enum close_reason why);
void tcp_door_turn_away_websocket(void *arg, int fd, enum close_reason why);
/* For a door with TLS: before the handshake there is nothing that the client would understand. */
void tcp_door_turn_away_tls(void *arg, int fd, enum close_reason why);

#endif
