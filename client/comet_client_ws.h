/* comet_client_ws: a client of Comet over WebSocket and TLS for programs in C and C++, in libcometclient-ws: pkg-config
 * comet-client-ws, --static for the archive. It has all of comet_client.h, too: a program links this library in place of
 * libcometclient, and gives a URL in place of host and port.
 *
 *	struct comet_client_url where = {.url = "wss://example.com/sub"};
 *	struct comet_client_options opt = {.mid = 123, .room = "live://1000"};
 *	int rc = comet_client_open_url(&where, &opt, &c, &goodbye);
 *
 * A client has libwebsockets in the calls of its own thread and at no other time, so that pings are answered in comet_client_next.
 * No proxy is asked, SIGPIPE stays as the program has it, and libwebsockets logs nothing unless the program has told it to.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_CLIENT_WS_H
#define COMET_CLIENT_WS_H

#include "comet_client.h"

#ifdef __cplusplus
extern "C" {
#endif

struct comet_client_url {
	const char *
		url; /* ws://host:port/path, wss:// the same, tcp://host:port or tls://host:port. 80 and 443, /sub, and 3101 for
			      * tcp may be left out */
	const char *ca_file;   /* certificates to trust, PEM; NULL: those of the system */
	int insecure;          /* not 0: any certificate of any name will do */
	const char *cert_file; /* our own certificate, PEM, for a server that wants one: none */
	const char *key_file;  /* its key, PEM, without a password; NULL: it is in cert_file */
};

/* The same as comet_client_open; host and port of *opt have no say. Further errors:
 *   -EINVAL        no such URL
 *   -ECONNABORTED  an answer of HTTP that is no WebSocket, in goodbye->reason, such as 403 or 404
 *   -EAGAIN        the same with 500 or more: the server takes nobody now
 *   -EPROTO        neither WebSocket nor TLS there, or a certificate that is not accepted or cannot be read: goodbye->reason
 * For a server that has named another node, take the host of goodbye.node into the URL, and leave its port. */
int comet_client_open_url(const struct comet_client_url *where, const struct comet_client_options *opt,
			  struct comet_client **out, struct comet_client_goodbye *goodbye);

#ifdef __cplusplus
}
#endif

#endif
