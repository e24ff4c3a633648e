/* tls_authorities: whose certificates callers and clients may show, and the names in such a certificate. OpenSSL.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_TLS_TLS_AUTHORITIES_H
#define COMMON_TLS_TLS_AUTHORITIES_H

#include <stdbool.h>

#include "common/base/lock.h"
#include "common/base/reload.h"

/* Who is asked for a certificate, and how. */
struct tls_asks {
	const char *setting; /* of the file, for the log */
	const char *
		file; /* certificates (PEM) of the authorities, and perhaps their lists of revoked ones; "": nobody is asked */
	bool insists; /* who shows none is sent away */
};

struct tls_authorities {
	/* set once */
	struct tls_asks asks;
	/* under lock */
	struct lock lock;
	struct tls_believed *believed;
	/* reload only: read, and not in use */
	struct tls_believed *next;
};

/* Read the file; its name outlives this. 0, -ERR_CONFIG with a log line, -ENOMEM: fini it as well. */
int tls_authorities_init(struct tls_authorities *a, const struct tls_asks *asks);
void tls_authorities_fini(struct tls_authorities *a);
/* Would that go well? Its answer. For -t. */
int tls_authorities_try(const char *setting, const char *file);

/* To read the file again. */
struct reload_part tls_authorities_reload(struct tls_authorities *a);

/* Have this SSL (of OpenSSL) ask its peer for a certificate. One that no authority has signed, or that was revoked, ends the handshake.
 * Resumed sessions are those of the same file. 0 or -ENOMEM. */
int tls_authorities_ask(struct tls_authorities *a, void *ssl) WITHOUT(a->lock);

/* What a name in a certificate is. In the order of tls.client_user. */
enum tls_name { TLS_NAME_CN, TLS_NAME_DNS, TLS_NAME_URI, TLS_NAME_EMAIL };
#define TLS_NAME_BYTES 256

typedef bool tls_name_is(void *arg, enum tls_name kind, const char *name);

/* For the names of this X509 (of OpenSSL), until is_it says true: the common name of its subject, and of its subjectAltName the DNS
 * names, URIs and addresses of e-mail. Was one taken? */
bool tls_names_of(const void *x509, tls_name_is *is_it, void *arg);

#endif
