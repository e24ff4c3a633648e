/* http_tls: certificates of the HTTP server, by server name, read again while it runs. On GnuTLS, with which
 * libmicrohttpd speaks TLS. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_TLS_H
#define COMMON_HTTP_HTTP_TLS_H

#include "common/base/reload.h"

struct http_tls;

/* Read certificate chains and keys (PEM; lists with commas, of one length). A caller gets the first whose names match the
 * server name that it asks for, or the first of all.
 * 0, or -ERR_CONFIG with a log line that says which file and why, or -ENOMEM. */
int http_tls_new(const char *cert_files, const char *key_files, struct http_tls **out);
/* The server that uses them was stopped. */
void http_tls_free(struct http_tls **tls);

/* To read the files again. NULL: nothing to reload. */
struct reload_part http_tls_reload(struct http_tls *tls);

/* TLS 1.2 and later, forward secrecy and authenticated encryption, as clients get it; a priority string of GnuTLS. */
extern const char *const http_tls_priorities;
/* A gnutls_certificate_retrieve_function3, for MHD_OPTION_HTTPS_CERT_CALLBACK2; it shows those of http_tls_serve. */
void *http_tls_callback(void);
/* For each session (a gnutls_session_t) before its handshake: these are its certificates. */
void http_tls_serve(struct http_tls *tls, void *session);

#endif
