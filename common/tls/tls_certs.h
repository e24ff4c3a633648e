/* tls_certs: the certificates of the doors, by server name, and which TLS is spoken there. SPDX-License-Identifier: MIT */
#ifndef COMMON_TLS_TLS_CERTS_H
#define COMMON_TLS_TLS_CERTS_H

#include "common/base/reload.h"

struct tls_certs;

/* Read certificate chains and keys (PEM; lists with commas, of one length). A client gets the first whose names match the
 * server name that it asks for, or the first of all. 0, or -ERR_CONFIG with a log line that says which file and why, or
 * -ENOMEM. */
int tls_certs_new(const char *cert_files, const char *key_files, struct tls_certs **out);
/* Read them so, and forget them: can they be had? */
int tls_certs_try(const char *cert_files, const char *key_files);
/* Nobody uses them any more. */
void tls_certs_free(struct tls_certs **certs);

/* To read the files again; connections that are there keep what they have. NULL: nothing to reload. */
struct reload_part tls_certs_reload(struct tls_certs *certs);

/* Make a server's SSL_CTX (of OpenSSL) take TLS 1.2 and later with good ciphers only. 0 or -ENOMEM. */
int tls_certs_prepare(void *ssl_ctx);
/* In each handshake, once the server name is known: have this SSL show the certificate for it. 1; 0: no memory. */
int tls_certs_show(struct tls_certs *certs, void *ssl);

#endif
