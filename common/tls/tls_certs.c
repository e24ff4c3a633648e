/* tls_certs: see tls_certs.h. SPDX-License-Identifier: MIT */
#include "common/tls/tls_certs.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/small_file.h"
#include "common/config/config.h"
#include "common/tls/tls_memory.h"

struct cert {
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
};

struct cert_list {
	struct cert *certs;
	unsigned n;
};

struct tls_certs {
	unsigned magic;
#define TLS_CERTS_MAGIC 0x7c15ce47
	/* set once */
	char *cert_files;
	char *key_files;
	/* under lock */
	struct lock lock;
	struct cert_list list;
	/* reload only: read, and not in use */
	struct cert_list next;
	int64_t ends_s; /* what the gauge has of us */
};

static void drop_list(struct cert_list *list)
{
	for (unsigned i = 0; i < list->n; i++) {
		X509_free(list->certs[i].leaf);
		sk_X509_pop_free(list->certs[i].chain, X509_free);
		EVP_PKEY_free(list->certs[i].key);
	}
	free(list->certs);
	*list = (struct cert_list){0};
}

/* Why OpenSSL failed last, and forget it: its errors are kept by thread, and would be read as those of the next call. What the system has
 * refused stands first among them, and the last one says no more than "system lib". */
static const char *ssl_why(void)
{
	const unsigned long first = ERR_peek_error();
	const char *why = ERR_SYSTEM_ERROR(first) ? err_text(-ERR_GET_REASON(first))
						  : ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return why != NULL ? why : "unknown";
}

static int complain(enum event what, const char *file)
{
	if (tls_lacked_memory()) {
		ERR_clear_error();
		return -ENOMEM;
	}
	LOG(LOG_ERROR, log_what(what), log_str("file", file), log_str("error", ssl_why()));
	return -ERR_CONFIG;
}

static int read_chain(const char *file, struct cert *cert)
{
	X509 *more;
	BIO *bio;
	int pushed = 1;

	ERR_clear_error();
	bio = BIO_new_file(file, "re");
	if (bio == NULL)
		return complain(EVENT_CERTIFICATE_UNREADABLE, file);
	cert->leaf = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
	cert->chain = sk_X509_new_null();
	while (cert->leaf != NULL && cert->chain != NULL && pushed > 0 &&
	       (more = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		if ((pushed = sk_X509_push(cert->chain, more)) == 0)
			X509_free(more);
	(void)BIO_free(bio);
	if (cert->leaf == NULL || cert->chain == NULL || pushed == 0 || tls_lacked_memory())
		return complain(EVENT_CERTIFICATE_MISSING, file);
	ERR_clear_error(); /* the file's end */
	return 0;
}

/* It is used all the same: there are clients that do not look. */
static void say_if_not_valid(const char *file, const X509 *leaf)
{
	const char *why = NULL;

	if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
		why = "it has expired";
	else if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
		why = "it is not valid yet";
	ERR_clear_error(); /* without memory nobody knows */
	if (why != NULL)
		LOG(LOG_WARN, log_what(EVENT_CERTIFICATE_NOT_VALID), log_str("file", file), log_str("why", why));
}

/* An empty password, so that nobody is asked for one at the terminal. */
static int read_key(const char *file, struct cert *cert)
{
	BIO *bio = BIO_new_file(file, "re");
	FILE *stream;

	if (bio == NULL)
		return complain(EVENT_PRIVATE_KEY_UNREADABLE, file);
	if (BIO_get_fp(bio, &stream) == 1 && small_file_is_open(fileno(stream)))
		LOG(LOG_WARN, log_str("setting", "tls.private_file"), log_str("file", file),
		    log_what(EVENT_SECRET_OPEN));
	cert->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "");
	(void)BIO_free(bio);
	if (cert->key == NULL)
		return complain(EVENT_PRIVATE_KEY_MISSING, file);
	if (X509_check_private_key(cert->leaf, cert->key) != 1)
		return complain(EVENT_PRIVATE_KEY_MISMATCH, file);
	return 0;
}

static int read_all(const char *cert_files, const char *key_files, struct cert_list *list)
{
	char cert_file[4096], key_file[4096];
	unsigned n = config_list_count(cert_files);
	int rc = 0;

	*list = (struct cert_list){0};
	if (n == 0 || n != config_list_count(key_files)) {
		LOG(LOG_ERROR, log_what(EVENT_TLS_FILES_UNEQUAL));
		return -ERR_CONFIG;
	}
	if ((list->certs = calloc(n, sizeof(*list->certs))) == NULL)
		return -ENOMEM;
	while (rc == 0 && config_list_next(&cert_files, cert_file, sizeof(cert_file)) &&
	       config_list_next(&key_files, key_file, sizeof(key_file))) {
		struct cert *cert = &list->certs[list->n++];

		if ((rc = read_chain(cert_file, cert)) == 0 && (rc = read_key(key_file, cert)) == 0)
			say_if_not_valid(cert_file, cert->leaf);
	}
	if (rc < 0)
		drop_list(list);
	return rc;
}

/* When the first of them ends, in seconds since 1970; 0: there is none, or nobody can say. */
static int64_t first_end_of(const struct cert_list *list)
{
	int64_t first = 0;

	for (unsigned i = 0; i < list->n; i++) {
		struct tm tm;
		const int64_t end =
			ASN1_TIME_to_tm(X509_get0_notAfter(list->certs[i].leaf), &tm) == 1 ? timegm(&tm) : 0;

		if (end > 0 && (first == 0 || end < first))
			first = end;
	}
	return first;
}

static void tell_end(struct tls_certs *certs, int64_t ends_s)
{
	count_add(COUNT_CERTIFICATE_ENDS, ends_s - certs->ends_s);
	certs->ends_s = ends_s;
}

int tls_certs_new(const char *cert_files, const char *key_files, struct tls_certs **out)
{
	struct tls_certs *certs = calloc(1, sizeof(*certs));
	int rc = -ENOMEM;

	if (certs == NULL)
		return rc;
	certs->magic = TLS_CERTS_MAGIC;
	lock_init(&certs->lock, LOCK_POOL);
	certs->cert_files = strdup(cert_files);
	certs->key_files = strdup(key_files);
	if (certs->cert_files != NULL && certs->key_files != NULL)
		rc = read_all(cert_files, key_files, &certs->list);
	tell_end(certs, first_end_of(&certs->list));
	if (rc < 0) {
		tls_certs_free(&certs);
		return rc;
	}
	*out = certs;
	return 0;
}

int tls_certs_try(const char *cert_files, const char *key_files)
{
	struct tls_certs *certs;
	int rc = tls_certs_new(cert_files, key_files, &certs);

	if (rc == 0)
		tls_certs_free(&certs);
	return rc;
}

void tls_certs_free(struct tls_certs **reference)
{
	struct tls_certs *certs = *reference;

	OBJ_CHECK(certs, TLS_CERTS_MAGIC);
	tell_end(certs, 0);
	drop_list(&certs->list);
	lock_fini(&certs->lock);
	free(certs->cert_files);
	free(certs->key_files);
	certs->magic = 0;
	free(certs);
	*reference = NULL;
}

static int read_again(void *self)
{
	struct tls_certs *certs = self;

	OBJ_CHECK(certs, TLS_CERTS_MAGIC);
	return read_all(certs->cert_files, certs->key_files, &certs->next);
}

static void settle(void *self, bool use)
{
	struct tls_certs *certs = self;
	struct cert_list unused = certs->next;

	if (use)
		tell_end(certs, first_end_of(&certs->next));
	lock_take(&certs->lock);
	if (use) {
		unused = certs->list;
		certs->list = certs->next;
	}
	lock_drop(&certs->lock);
	certs->next = (struct cert_list){0};
	drop_list(&unused); /* those in use are counted by OpenSSL */
}

struct reload_part tls_certs_reload(struct tls_certs *certs)
{
	return (struct reload_part){"certificates", read_again, settle, certs};
}

static const struct cert *choose(const struct cert_list *list, const char *name)
{
	for (unsigned i = 0; i < list->n && name != NULL; i++)
		if (X509_check_host(list->certs[i].leaf, name, 0, 0, NULL) == 1)
			return &list->certs[i];
	return &list->certs[0];
}

int tls_certs_show(struct tls_certs *certs, void *of)
{
	SSL *ssl = of;
	const struct cert *cert;
	int rc;

	OBJ_CHECK(certs, TLS_CERTS_MAGIC);
	lock_take(&certs->lock);
	cert = choose(&certs->list, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
	rc = SSL_use_cert_and_key(ssl, cert->leaf, cert->key, cert->chain, 1);
	lock_drop(&certs->lock);
	return rc;
}

int tls_certs_prepare(void *ssl_ctx)
{
	SSL_CTX *ctx = ssl_ctx;

	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	/* Forward secrecy and authenticated encryption, also with TLS 1.2. */
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
			       SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1
		       ? 0
		       : -ENOMEM;
}
