/* client_url: where a client goes to, as one word: tcp://host:port, tls://host:port, ws://host:port/path, wss://host:port/path.
 * SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_URL_H
#define CLIENT_CLIENT_URL_H

#include "client/client_link.h"

struct client_url {
	bool tls, websocket;
	char host[254]; /* without the brackets of an IPv6 address */
	char port[6];
	char path[1024]; /* with its query */
};

/* Without a port: 80 for ws, 443 for wss, 3101 for tcp; without a path: /sub. 0, or -EINVAL where it is none of these. */
int client_url_parse(const char *text, struct client_url *out);

/* Have a client connect there. opt points into *url from then on. */
void client_url_aim(const struct client_url *url, struct client_options *opt);

#endif
