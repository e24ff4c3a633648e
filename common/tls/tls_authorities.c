/* tls_authorities: see tls_authorities.h. SPDX-License-Identifier: MIT */
#include "common/tls/tls_authorities.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/tls/tls_memory.h"

/* One reading of the file. Handshakes that began with it keep it. */
struct tls_believed {
	X509_STORE *store;
	STACK_OF(X509_NAME) * names;
	unsigned char id[EVP_MAX_MD_SIZE]; /* of all that is in it: a session that others believed is not resumed */
	unsigned id_bytes;
	atomic_uint refs;
};

static void unref(struct tls_believed *b)
{
	if (b == NULL || atomic_fetch_sub(&b->refs, 1) > 1)
		return;
	X509_STORE_free(b->store);
	sk_X509_NAME_pop_free(b->names, X509_NAME_free);
	free(b);
}

/* ---- the file ---- */

static int complain(const struct tls_asks *asks, const char *what)
{
	ERR_clear_error();
	LOG(LOG_ERROR, log_what(EVENT_CA_UNUSABLE), log_str("setting", asks->setting), log_str("file", asks->file),
	    log_str("error", what));
	return -ERR_CONFIG;
}

static bool add_cert(struct tls_believed *b, X509 *cert, EVP_MD_CTX *hash)
{
	unsigned char one[EVP_MAX_MD_SIZE];
	unsigned bytes;
	X509_NAME *name;

	if (X509_STORE_add_cert(b->store, cert) != 1 || X509_digest(cert, EVP_sha256(), one, &bytes) != 1 ||
	    EVP_DigestUpdate(hash, one, bytes) != 1 || (name = X509_NAME_dup(X509_get_subject_name(cert))) == NULL)
		return false;
	if (sk_X509_NAME_push(b->names, name) > 0)
		return true;
	X509_NAME_free(name);
	return false;
}

/* With the first one each certificate has to be looked up in a list of its authority. */
static bool add_revoked(struct tls_believed *b, X509_CRL *revoked, EVP_MD_CTX *hash)
{
	unsigned char one[EVP_MAX_MD_SIZE];
	unsigned bytes;

	return X509_STORE_add_crl(b->store, revoked) == 1 &&
	       X509_STORE_set_flags(b->store, X509_V_FLAG_CRL_CHECK) == 1 &&
	       X509_CRL_digest(revoked, EVP_sha256(), one, &bytes) == 1 && EVP_DigestUpdate(hash, one, bytes) == 1;
}

/* The number of certificates, or -ENOMEM. */
static int add_all(struct tls_believed *b, const STACK_OF(X509_INFO) * all, EVP_MD_CTX *hash)
{
	bool good = hash != NULL && b->store != NULL && b->names != NULL &&
		    EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;
	int n = 0;

	for (int i = 0; good && i < sk_X509_INFO_num(all); i++) {
		const X509_INFO *one = sk_X509_INFO_value(all, i);

		good = (one->x509 == NULL || add_cert(b, one->x509, hash)) &&
		       (one->crl == NULL || add_revoked(b, one->crl, hash));
		n += one->x509 != NULL;
	}
	return good && EVP_DigestFinal_ex(hash, b->id, &b->id_bytes) == 1 ? n : -ENOMEM;
}

static int read_file(const struct tls_asks *asks, struct tls_believed **out)
{
	struct tls_believed *b = calloc(1, sizeof(*b));
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	STACK_OF(X509_INFO) * all;
	int n = -ENOMEM, rc = 0;
	BIO *bio;

	ERR_clear_error();
	bio = BIO_new_file(asks->file, "re");
	all = bio != NULL ? PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL) : NULL;
	if (b != NULL) {
		atomic_init(&b->refs, 1);
		b->store = X509_STORE_new();
		b->names = sk_X509_NAME_new_null();
	}
	if (b == NULL || (all != NULL ? (n = add_all(b, all, hash)) < 0 : tls_lacked_memory()))
		rc = -ENOMEM;
	else if (bio == NULL)
		rc = complain(asks, "it cannot be read");
	else if (n <= 0)
		rc = complain(asks, "there is no certificate (PEM) in it, or something that cannot be read");
	EVP_MD_CTX_free(hash);
	sk_X509_INFO_pop_free(all, X509_INFO_free);
	(void)BIO_free(bio);
	ERR_clear_error(); /* the file's end */
	if (rc < 0) {
		unref(b);
		b = NULL;
	}
	*out = b;
	return rc;
}

int tls_authorities_init(struct tls_authorities *a, const struct tls_asks *asks)
{
	*a = (struct tls_authorities){.asks = *asks};
	lock_init(&a->lock, LOCK_POOL);
	return asks->file[0] != '\0' ? read_file(asks, &a->believed) : 0;
}

void tls_authorities_fini(struct tls_authorities *a)
{
	unref(a->believed);
	lock_fini(&a->lock);
}

int tls_authorities_try(const char *setting, const char *file)
{
	struct tls_authorities a;
	int rc = tls_authorities_init(&a, &(struct tls_asks){.setting = setting, .file = file});

	tls_authorities_fini(&a);
	return rc;
}

static int read_again(void *self)
{
	struct tls_authorities *a = self;

	return read_file(&a->asks, &a->next);
}

static void settle(void *self, bool use)
{
	struct tls_authorities *a = self;
	struct tls_believed *unused = a->next;

	lock_take(&a->lock);
	if (use) {
		unused = a->believed;
		a->believed = a->next;
	}
	lock_drop(&a->lock);
	a->next = NULL;
	unref(unused);
}

struct reload_part tls_authorities_reload(struct tls_authorities *a)
{
	return (struct reload_part){a->asks.setting, read_again, settle, a->asks.file[0] != '\0' ? a : NULL};
}

/* ---- handshakes ---- */

int tls_authorities_ask(struct tls_authorities *a, void *ssl_of_openssl)
{
	SSL *ssl = ssl_of_openssl;
	STACK_OF(X509_NAME) * names;
	struct tls_believed *b;
	int rc = -ENOMEM;

	if (a->asks.file[0] == '\0')
		return 0;
	lock_take(&a->lock);
	b = a->believed;
	(void)atomic_fetch_add(&b->refs, 1);
	lock_drop(&a->lock);
	if ((names = SSL_dup_CA_list(b->names)) != NULL && SSL_set1_verify_cert_store(ssl, b->store) == 1 &&
	    SSL_set_session_id_context(ssl, b->id, b->id_bytes) == 1) {
		SSL_set_client_CA_list(ssl, names);
		SSL_set_verify(ssl, SSL_VERIFY_PEER | (a->asks.insists ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
		names = NULL;
		rc = 0;
	}
	sk_X509_NAME_pop_free(names, X509_NAME_free);
	unref(b);
	return rc;
}

/* ---- names ---- */

/* A name with a zero byte, or another control character, in it is none. */
static bool copy_name(const ASN1_STRING *text, char name[TLS_NAME_BYTES])
{
	unsigned char *utf8 = NULL;
	const int n = ASN1_STRING_to_UTF8(&utf8, text);
	bool good = n > 0 && n < TLS_NAME_BYTES;

	for (int i = 0; good && i < n; i++)
		good = !iscntrl(utf8[i]);
	if (good) {
		memcpy(name, utf8, (size_t)n);
		name[n] = '\0';
	}
	OPENSSL_free(utf8);
	return good;
}

static bool is_common_name(const X509 *cert, tls_name_is *is_it, void *arg)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	char name[TLS_NAME_BYTES];
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	/* Of several the last, which is the most particular one. */
	for (int next = at; next >= 0; next = X509_NAME_get_index_by_NID(subject, NID_commonName, next))
		at = next;
	return at >= 0 && copy_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), name) &&
	       is_it(arg, TLS_NAME_CN, name);
}

static bool is_name(const GENERAL_NAME *other, enum tls_name *kind)
{
	*kind = other->type == GEN_DNS ? TLS_NAME_DNS : other->type == GEN_URI ? TLS_NAME_URI : TLS_NAME_EMAIL;
	return other->type == GEN_DNS || other->type == GEN_URI || other->type == GEN_EMAIL;
}

bool tls_names_of(const void *x509, tls_name_is *is_it, void *arg)
{
	GENERAL_NAMES *others;
	char name[TLS_NAME_BYTES];
	bool taken = is_common_name(x509, is_it, arg);

	if (taken)
		return true;
	others = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; !taken && i < sk_GENERAL_NAME_num(others); i++) {
		const GENERAL_NAME *other = sk_GENERAL_NAME_value(others, i);
		enum tls_name kind;

		taken = is_name(other, &kind) && copy_name(other->d.ia5, name) && is_it(arg, kind, name);
	}
	GENERAL_NAMES_free(others);
	ERR_clear_error();
	return taken;
}
