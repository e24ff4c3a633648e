/* client_tls: TLS of a client, and a link that is TLS on TCP. Certificate and name of the server are checked, unless
 * opt->insecure. SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_TLS_H
#define CLIENT_CLIENT_TLS_H

#include <openssl/ssl.h>

#include "client/client_link.h"

/* Each with words in opt->why: -ERR_TLS: the certificate is not accepted, or ca_file, cert_file or key_file is none; -EPROTO: no TLS
 * there. */
client_link_open client_tls_open;

/* The settings of a connection to opt->host; *out is the caller's to SSL_CTX_free. -ERR_TLS with words: ca_file, cert_file or key_file is
 * not there or does not hold what it should; -ENOMEM. */
int client_tls_context(const struct client_options *opt, SSL_CTX **out);

/* Only look whether ca_file, cert_file and key_file, as far as they are given, would do: 0, or as above. */
int client_tls_check(const struct client_options *opt);

/* Is it an address, and no name? */
bool client_tls_is_address(const char *host);

/* Words for an alert by which the server ended TLS, by its number. */
const char *client_tls_alert(int alert);

/* Say that the server's certificate is not accepted, and why: an X509_V_ERR_ of OpenSSL's. -ERR_TLS. */
int client_tls_refuse(const struct client_options *opt, long verdict);
/* Say that there is no TLS, and the words for the server's alert, or "" where it sent none. -EPROTO. */
int client_tls_miss(const struct client_options *opt, const char *alert);

#endif
