/* http_tls: see http_tls.h. SPDX-License-Identifier: MIT */
#include "common/http/http_tls.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/config/config.h"

#define FILE_BYTES 4096 /* longest name of a file */
#define NAME_BYTES 256  /* longest name of a server with its zero byte */

const char *const http_tls_priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-RSA:+ECDHE-ECDSA:-"
					"CIPHER-ALL:+AES-256-GCM:+AES-128-GCM:"
					"+CHACHA20-POLY1305:%SERVER_PRECEDENCE";

struct cert {
	gnutls_x509_crt_t *chain; /* the leaf first; malloc'ed by GnuTLS */
	unsigned n_chain;
	gnutls_x509_privkey_t key;
};

struct list {
	struct cert *certs;
	unsigned n;
};

struct http_tls {
	unsigned magic;
#define HTTP_TLS_MAGIC 0x477e715a
	/* set once */
	char *cert_files;
	char *key_files;
	/* under lock */
	struct lock lock;
	struct list list;
	/* reload only: read, and not in use */
	struct list next;
};

/* ---- reading ---- */

static void drop_list(struct list *list)
{
	for (unsigned i = 0; i < list->n; i++) {
		struct cert *cert = &list->certs[i];

		for (unsigned k = 0; k < cert->n_chain; k++)
			gnutls_x509_crt_deinit(cert->chain[k]);
		gnutls_free(cert->chain);
		if (cert->key != NULL)
			gnutls_x509_privkey_deinit(cert->key);
	}
	free(list->certs);
	*list = (struct list){0};
}

static int complain(enum event what, const char *file, int rc)
{
	if (rc == GNUTLS_E_MEMORY_ERROR)
		return -ENOMEM;
	LOG(LOG_ERROR, log_what(what), log_str("file", file), log_str("error", gnutls_strerror(rc)));
	return -ERR_CONFIG;
}

static int read_chain(const char *file, struct cert *cert)
{
	gnutls_datum_t pem;
	int rc = gnutls_load_file(file, &pem);

	if (rc < 0)
		return complain(EVENT_CERTIFICATE_UNREADABLE, file, rc);
	rc = gnutls_x509_crt_list_import2(&cert->chain, &cert->n_chain, &pem, GNUTLS_X509_FMT_PEM, 0);
	gnutls_free(pem.data);
	return rc < 0 ? complain(EVENT_CERTIFICATE_MISSING, file, rc) : 0;
}

/* Does the key belong to the certificate? Both have an id that is made of the public part. */
static bool is_pair(const struct cert *cert)
{
	unsigned char of_cert[64], of_key[64];
	size_t cert_bytes = sizeof(of_cert), key_bytes = sizeof(of_key);

	return gnutls_x509_crt_get_key_id(cert->chain[0], GNUTLS_KEYID_USE_SHA256, of_cert, &cert_bytes) == 0 &&
	       gnutls_x509_privkey_get_key_id(cert->key, GNUTLS_KEYID_USE_SHA256, of_key, &key_bytes) == 0 &&
	       cert_bytes == key_bytes && memcmp(of_cert, of_key, key_bytes) == 0;
}

static int read_key(const char *file, struct cert *cert)
{
	gnutls_datum_t pem;
	int rc = gnutls_load_file(file, &pem);

	if (rc < 0)
		return complain(EVENT_PRIVATE_KEY_UNREADABLE, file, rc);
	if ((rc = gnutls_x509_privkey_init(&cert->key)) == 0)
		rc = gnutls_x509_privkey_import(cert->key, &pem, GNUTLS_X509_FMT_PEM);
	gnutls_memset(pem.data, 0, pem.size);
	gnutls_free(pem.data);
	if (rc < 0)
		return complain(EVENT_PRIVATE_KEY_MISSING, file, rc);
	if (!is_pair(cert))
		return complain(EVENT_PRIVATE_KEY_MISMATCH, file, GNUTLS_E_CERTIFICATE_KEY_MISMATCH);
	return 0;
}

static int read_all(const char *cert_files, const char *key_files, struct list *list)
{
	char cert_file[FILE_BYTES], key_file[FILE_BYTES];
	unsigned n = config_list_count(cert_files);
	int rc = 0;

	*list = (struct list){0};
	if (n == 0 || n != config_list_count(key_files)) {
		LOG(LOG_ERROR, log_what(EVENT_TLS_FILES_UNEQUAL));
		return -ERR_CONFIG;
	}
	if ((list->certs = calloc(n, sizeof(*list->certs))) == NULL)
		return -ENOMEM;
	while (rc == 0 && config_list_next(&cert_files, cert_file, sizeof(cert_file)) &&
	       config_list_next(&key_files, key_file, sizeof(key_file))) {
		struct cert *cert = &list->certs[list->n++];

		if ((rc = read_chain(cert_file, cert)) == 0)
			rc = read_key(key_file, cert);
	}
	if (rc < 0)
		drop_list(list);
	return rc;
}

/* ---- from start to end ---- */

int http_tls_new(const char *cert_files, const char *key_files, struct http_tls **out)
{
	struct http_tls *tls = calloc(1, sizeof(*tls));
	int rc = -ENOMEM;

	if (tls == NULL)
		return rc;
	tls->magic = HTTP_TLS_MAGIC;
	lock_init(&tls->lock, LOCK_POOL);
	tls->cert_files = strdup(cert_files);
	tls->key_files = strdup(key_files);
	if (tls->cert_files != NULL && tls->key_files != NULL)
		rc = read_all(cert_files, key_files, &tls->list);
	if (rc < 0) {
		http_tls_free(&tls);
		return rc;
	}
	*out = tls;
	return 0;
}

void http_tls_free(struct http_tls **reference)
{
	struct http_tls *tls = *reference;

	OBJ_CHECK(tls, HTTP_TLS_MAGIC);
	drop_list(&tls->list);
	lock_fini(&tls->lock);
	free(tls->cert_files);
	free(tls->key_files);
	tls->magic = 0;
	free(tls);
	*reference = NULL;
}

static int read_again(void *self)
{
	struct http_tls *tls = self;

	OBJ_CHECK(tls, HTTP_TLS_MAGIC);
	return read_all(tls->cert_files, tls->key_files, &tls->next);
}

static void settle(void *self, bool use)
{
	struct http_tls *tls = self;
	struct list unused = tls->next;

	lock_take(&tls->lock);
	if (use) {
		unused = tls->list;
		tls->list = tls->next;
	}
	lock_drop(&tls->lock);
	tls->next = (struct list){0};
	drop_list(&unused); /* handshakes have copies of their own */
}

struct reload_part http_tls_reload(struct http_tls *tls)
{
	return (struct reload_part){"HTTP certificates", read_again, settle, tls};
}

/* ---- one handshake ---- */

/* GnuTLS's callback has no argument but the session. Of the two pointers that one can have, libmicrohttpd uses its own; the
 * other is for a cache of sessions, which nobody keeps here. */
void http_tls_serve(struct http_tls *tls, void *session)
{
	OBJ_CHECK(tls, HTTP_TLS_MAGIC);
	gnutls_db_set_ptr(session, tls);
}

static void read_name(gnutls_session_t session, char name[NAME_BYTES])
{
	size_t bytes = NAME_BYTES - 1;
	unsigned type;

	if (gnutls_server_name_get(session, name, &bytes, &type, 0) != 0 || type != GNUTLS_NAME_DNS)
		bytes = 0;
	name[bytes] = '\0';
}

static const struct cert *choose(const struct list *list, const char *name)
{
	for (unsigned i = 0; i < list->n && name[0] != '\0'; i++)
		if (gnutls_x509_crt_check_hostname(list->certs[i].chain[0], name) != 0)
			return &list->certs[i];
	return &list->certs[0];
}

static int copy_key(const struct cert *cert, gnutls_privkey_t *copy)
{
	int rc = gnutls_privkey_init(copy);

	if (rc == 0 && (rc = gnutls_privkey_import_x509(*copy, cert->key, GNUTLS_PRIVKEY_IMPORT_COPY)) < 0) {
		gnutls_privkey_deinit(*copy);
		*copy = NULL;
	}
	return rc;
}

static int copy_chain(const struct cert *cert, gnutls_pcert_st **copy, unsigned *n)
{
	int rc = 0;

	*n = 0;
	if ((*copy = gnutls_calloc(cert->n_chain, sizeof(**copy))) == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	while (rc == 0 && *n < cert->n_chain)
		if ((rc = gnutls_pcert_import_x509(&(*copy)[*n], cert->chain[*n], 0)) == 0)
			(*n)++;
	if (rc == 0)
		return 0;
	while (*n > 0)
		gnutls_pcert_deinit(&(*copy)[--*n]);
	gnutls_free(*copy);
	*copy = NULL;
	return rc;
}

/* The handshake gets copies, and GnuTLS frees them when it is through: a reload may come in between. */
static int show_cert(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **chain,
		     unsigned *n, gnutls_ocsp_data_st **ocsp, unsigned *n_ocsp, gnutls_privkey_t *key, unsigned *flags)
{
	struct http_tls *tls = gnutls_db_get_ptr(session);
	const struct cert *cert;
	char name[NAME_BYTES];
	int rc;

	(void)info;
	OBJ_CHECK(tls, HTTP_TLS_MAGIC);
	read_name(session, name);
	*ocsp = NULL;
	*n_ocsp = 0;
	lock_take(&tls->lock);
	cert = choose(&tls->list, name);
	if ((rc = copy_key(cert, key)) == 0 && (rc = copy_chain(cert, chain, n)) < 0)
		gnutls_privkey_deinit(*key);
	lock_drop(&tls->lock);
	*flags = GNUTLS_CERT_RETR_DEINIT_ALL;
	return rc == 0 ? 0 : -1;
}

void *http_tls_callback(void)
{
	return (void *)(uintptr_t)show_cert;
}
