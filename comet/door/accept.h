/* accept: the doors. For each address one listening socket, which is parked among the connections, or without parking a few threads that
 * block in accept4. The fate of a socket is its door's business.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_DOOR_ACCEPT_H
#define COMET_DOOR_ACCEPT_H

#include <stdint.h>
#include <sys/socket.h>

#include "comet/server.h"

struct accept;

enum accept_kind { ACCEPT_TCP, ACCEPT_TCP_TLS, ACCEPT_WEBSOCKET, ACCEPT_WEBSOCKET_TLS, ACCEPT_KINDS };

struct accept_door {
	enum accept_kind kind;
	const char *setting; /* "tcp.bind", for complaints */
	const char *bind;    /* addresses of listen.h, with commas; empty: none */
	bool proxied;        /* a PROXY header comes first */
	/* Take over fd, also on an error; and the ticket, if a connection came of it. for_other: peer is a trusted proxy.
	 *   0; -EAGAIN, -ENOMEM: a limit of the machine, the next one should wait a little */
	int (*let_in)(void *arg, int fd, const struct sockaddr *peer, bool for_other, enum ticket *ticket);
	/* Take over fd, tell the client why it may not come in as far as that goes at once, and close. */
	void (*turn_away)(void *arg, int fd, enum close_reason why);
	void *arg; /* of both */
	/* Lists of networks, or NULL; a reload changes them. */
	const char *_Atomic proxy_from;      /* whose PROXY header is believed; empty: everybody's */
	const char *_Atomic trusted_proxies; /* their connections are for clients of whom the first request tells */
};

/* Listen at all doors, print "listening NAME ADDRESS" for each on stdout. Without parking `threads` threads (at least 1) accept at each
 * address. The doors are the caller's, until accept_stop; clients may come in before this returns.
 * 0, or -errno with a log line that says which address and why; nothing is then left open. */
int accept_start(struct server *s, const struct accept_door *doors, unsigned n_doors, unsigned threads,
		 struct accept **out);

/* The port of the first address of this kind that has one, 0 if there is none. */
uint16_t accept_port(const struct accept *a, enum accept_kind kind);

/* Stop accepting: close the sockets, join the threads. Not on a thread of the park, whose threads it waits for. */
void accept_stop(struct accept **a);

#endif
