/* tls_peer: the names in the certificate of a stream's peer. See tls.h. SPDX-License-Identifier: MIT */
#include <openssl/x509.h>
#include <stdio.h>

#include "common/tls/tls.h"

bool tls_peer_is(struct tls *tls, tls_name_is *is_it, void *arg)
{
	X509 *shown = tls_peer(tls);
	const bool is = shown != NULL && tls_names_of(shown, is_it, arg);

	X509_free(shown);
	return is;
}

struct wanted {
	enum tls_name kind;
	char *name; /* of TLS_NAME_BYTES */
};

static bool take_name(void *arg, enum tls_name kind, const char *name)
{
	const struct wanted *wanted = arg;

	if (kind == wanted->kind)
		(void)snprintf(wanted->name, TLS_NAME_BYTES, "%s", name);
	return kind == wanted->kind;
}

bool tls_peer_name(struct tls *tls, enum tls_name kind, char name[TLS_NAME_BYTES], int64_t *left_ms)
{
	X509 *shown = tls_peer(tls);
	int days, seconds;
	const bool is = shown != NULL && tls_names_of(shown, take_name, &(struct wanted){kind, name}) &&
			ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(shown)) == 1;

	X509_free(shown);
	if (is)
		*left_ms = (days * INT64_C(86400) + seconds) * 1000;
	return is;
}
