/* client_ws: a link over WebSocket, ws:// or wss://, by libwebsockets: a packet is one binary message. It uses no proxy and offers
 * no compression. SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_WS_H
#define CLIENT_CLIENT_WS_H

#include "client/client_link.h"

/* opt->path is asked for. Each with words in opt->why:
 *   -ERR_REFUSED  another answer of HTTP than a WebSocket, by its status
 *   -EAGAIN       the same, where the status is 500 or more: later may be better
 *   -ERR_TLS      as client_tls_open's
 *   -EPROTO       no TLS, or nothing of HTTP */
client_link_open client_ws_open;

#endif
