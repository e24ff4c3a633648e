/* tls_authorities: whose certificates callers may show, and the names in such a certificate. OpenSSL. SPDX-License-Identifier: MIT */
#ifndef COMMON_TLS_TLS_AUTHORITIES_H
#define COMMON_TLS_TLS_AUTHORITIES_H

#include <stdbool.h>

#include "common/base/lock.h"
#include "common/base/reload.h"

struct tls_authorities {
	/* set once */
	const char *file; /* "": callers are asked for none */
	/* under lock */
	struct lock lock;
	struct tls_believed *believed;
	/* reload only: read, and not in use */
	struct tls_believed *next;
};

/* Read the file (PEM; "" for none), which outlives it. 0, -ERR_CONFIG with a log line, -ENOMEM: fini it as well. */
int tls_authorities_init(struct tls_authorities *a, const char *file);
void tls_authorities_fini(struct tls_authorities *a);

/* To read the file again. */
struct reload_part tls_authorities_reload(struct tls_authorities *a);

/* Have this SSL (of OpenSSL) ask its peer for a certificate. A peer may have none; one that no authority has signed ends the handshake.
 * Resumed sessions are those of the same file. 0 or -ENOMEM. */
int tls_authorities_ask(struct tls_authorities *a, void *ssl) WITHOUT(a->lock);

/* For the names of this X509 (of OpenSSL), until is_it says true: the common name of its subject, and of its subjectAltName the DNS
 * names, URIs and addresses of e-mail. Was one taken? */
bool tls_names_of(const void *x509, bool (*is_it)(void *arg, const char *name), void *arg);

#endif
