/* client_ports: where clients come to a comet, a port for each way in; 0: none. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_CLIENT_PORTS_H
#define COMMON_BASE_CLIENT_PORTS_H

#include <stdint.h>

struct client_ports {
	uint16_t tcp, websocket, websocket_tls;
};

#endif
