/* ws_guest: a WebSocket's socket from accept to close, as its service thread sees it: what libwebsockets tells of it goes to
 * its link and its connection, what they wish to libwebsockets. Where nothing else is said: that thread only, or the one that
 * starts and stops it, while it does not run.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_DOOR_WS_GUEST_H
#define COMET_DOOR_WS_GUEST_H

#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "comet/server.h"
#include "comet/transport/ws_link.h"
#include "comet/transport/ws_payload.h"

/* What all guests of a service thread share. */
struct ws_host {
	/* set once */
	struct server *server;
	struct lws_context *context;
	struct lws_vhost *plain, *tls;                    /* tls: NULL where there is none */
	void (*ask)(void *service, struct ws_link *link); /* as in struct ws_link_options */
	void *service;
	/* service thread only */
	struct ws_frame frame; /* the one that is written */
};

void ws_host_fini(struct ws_host *host);

struct ws_guest;

/* Of a socket that was accepted, with its connection, which is one of the server's from now on. Any thread. share: its turn, see struct
 * connection.
 * 0: the guest has the descriptor and the ticket now; -ENOMEM: they are still the caller's. */
int ws_guest_new(struct ws_host *host, int fd, const struct sockaddr *peer, bool tls, unsigned share,
		 enum ticket *ticket, struct ws_guest **out);

/* Where a list of guests that wait for their adoption is kept. Any thread; under the service's lock. */
struct ws_guest **ws_guest_next(struct ws_guest *g);

/* Begin its life in libwebsockets. From now on it frees itself, when that is over. */
void ws_guest_adopt(struct ws_guest *g);

/* Do what its link wishes. */
void ws_guest_grant(struct ws_guest *g, unsigned wishes);

/* What libwebsockets tells of a socket: its protocol's callback. */
int ws_guest_callback(struct lws *wsi, enum lws_callback_reasons reason, void *in, size_t n);

/* Let guests see what OpenSSL does with this context. */
void ws_guest_watch(SSL_CTX *ctx);

#endif
