/* client_tcp: a link that is a TCP connection and nothing more. SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_TCP_H
#define CLIENT_CLIENT_TCP_H

#include "client/client_link.h"

client_link_open client_tcp_open;

#endif
