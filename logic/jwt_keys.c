/* jwt_keys: see jwt_keys.h. Keys are read once and then shared by all threads: OpenSSL 3 reads a public key in a
 * millisecond, and checks a signature with it in a thirtieth of that. SPDX-License-Identifier: MIT */
#include "logic/jwt_keys.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/obj.h"

#define SECRET_BYTES_MIN 32   /* RFC 7518, 3.2: as long as the hash */
#define RSA_BITS_MIN     2048 /* RFC 7518, 3.3 */
#define SHA256_BYTES     32
#define ES256_BYTES      64 /* two numbers of 32 bytes */

struct jwt_key {
	char *kid;
	enum jwt_alg alg;
	uint8_t *secret; /* HS256 */
	size_t secret_bytes;
	EVP_PKEY *public_key; /* the others */
};

struct jwt_keys {
	unsigned magic;
#define JWT_KEYS_MAGIC 0x6b6579aa
	atomic_uint refs;
	/* set before others know it */
	struct jwt_key keys[JWT_KEYS_MAX];
	unsigned n;
};

bool jwt_alg_find(const char *name, size_t n, enum jwt_alg *alg)
{
	static const char *const names[JWT_ALGS] = {"HS256", "RS256", "ES256"};

	for (unsigned i = 0; i < JWT_ALGS; i++)
		if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0) {
			*alg = (enum jwt_alg)i;
			return true;
		}
	return false;
}

/* ---- the set ---- */

int jwt_keys_new(struct jwt_keys **out)
{
	struct jwt_keys *keys = calloc(1, sizeof(*keys));

	if (keys == NULL)
		return -ENOMEM;
	keys->magic = JWT_KEYS_MAGIC;
	atomic_init(&keys->refs, 1);
	*out = keys;
	return 0;
}

struct jwt_keys *jwt_keys_ref(struct jwt_keys *keys)
{
	OBJ_CHECK(keys, JWT_KEYS_MAGIC);
	atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
	return keys;
}

static void key_fini(struct jwt_key *key)
{
	free(key->kid);
	if (key->secret != NULL)
		OPENSSL_cleanse(key->secret, key->secret_bytes);
	free(key->secret);
	EVP_PKEY_free(key->public_key);
	*key = (struct jwt_key){0};
}

void jwt_keys_unref(struct jwt_keys **set)
{
	struct jwt_keys *keys = *set;

	OBJ_CHECK(keys, JWT_KEYS_MAGIC);
	*set = NULL;
	if (atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (unsigned i = 0; i < keys->n; i++)
		key_fini(&keys->keys[i]);
	keys->magic = 0;
	free(keys);
}

/* ---- reading keys ---- */

/* Editors and openssl end a file with a line feed, which no issuer counts to its secret. */
static size_t without_line_feed(const uint8_t *bytes, size_t n)
{
	if (n > 0 && bytes[n - 1] == '\n')
		n--;
	return n > 0 && bytes[n - 1] == '\r' ? n - 1 : n;
}

static int read_secret(struct jwt_key *key, const uint8_t *bytes, size_t n, const char **fault)
{
	static const char pem[] = "-----BEGIN";

	n = without_line_feed(bytes, n);
	/* Everybody has a public key: were it taken for a secret, everybody could sign. */
	if (n >= sizeof(pem) - 1 && memmem(bytes, n, pem, sizeof(pem) - 1) != NULL) {
		*fault = "is a PEM file, and no secret for HS256";
		return -ERR_CONFIG;
	}
	if (n < SECRET_BYTES_MIN) {
		*fault = "is a secret of less than 32 bytes, which can be guessed";
		return -ERR_CONFIG;
	}
	if ((key->secret = malloc(n)) == NULL)
		return -ENOMEM;
	memcpy(key->secret, bytes, n);
	key->secret_bytes = n;
	return 0;
}

static const char *fault_of_rsa(const EVP_PKEY *key)
{
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA)
		return "is no RSA key, as RS256 needs";
	return EVP_PKEY_get_bits(key) < RSA_BITS_MIN ? "is an RSA key of less than 2048 bits" : NULL;
}

static const char *fault_of_ec(const EVP_PKEY *key)
{
	char group[32];
	size_t n;

	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_group_name(key, group, sizeof(group), &n) != 1 ||
	    strcmp(group, "prime256v1") != 0)
		return "is no key on the curve P-256, as ES256 needs";
	return NULL;
}

static int read_public(struct jwt_key *key, const uint8_t *bytes, size_t n, const char **fault)
{
	BIO *bio = n <= INT32_MAX ? BIO_new_mem_buf(bytes, (int)n) : NULL;

	if (bio == NULL)
		return -ENOMEM;
	key->public_key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	(void)BIO_free(bio);
	ERR_clear_error();
	if (key->public_key == NULL)
		*fault = memmem(bytes, n, "PRIVATE KEY", strlen("PRIVATE KEY")) != NULL
				 ? "is a private key: it belongs to the issuer of tokens; give its public key"
				 : "has no public key in PEM (-----BEGIN PUBLIC KEY-----)";
	else
		*fault = key->alg == JWT_RS256 ? fault_of_rsa(key->public_key) : fault_of_ec(key->public_key);
	return *fault == NULL ? 0 : -ERR_CONFIG;
}

static bool has_kid(const struct jwt_keys *keys, const char *kid)
{
	for (unsigned i = 0; i < keys->n; i++)
		if (strcmp(keys->keys[i].kid, kid) == 0)
			return true;
	return false;
}

int jwt_keys_add(struct jwt_keys *keys, const char *kid, enum jwt_alg alg, const void *bytes, size_t n,
		 const char **fault)
{
	struct jwt_key key = {.alg = alg};
	int rc;

	*fault = NULL;
	if (keys->n == JWT_KEYS_MAX || (kid[0] != '\0' && has_kid(keys, kid))) {
		*fault = keys->n == JWT_KEYS_MAX ? "is one key too many" : "has the name of another key";
		return -ERR_CONFIG;
	}
	rc = alg == JWT_HS256 ? read_secret(&key, bytes, n, fault) : read_public(&key, bytes, n, fault);
	if (rc == 0 && (key.kid = strdup(kid)) == NULL)
		rc = -ENOMEM;
	if (rc < 0)
		key_fini(&key);
	else
		keys->keys[keys->n++] = key;
	return rc;
}

/* ---- checking ---- */

static enum jwt_verdict verify_hmac(const struct jwt_key *key, const void *text, size_t text_bytes,
				    const uint8_t *signature, size_t signature_bytes)
{
	uint8_t right[SHA256_BYTES];
	unsigned n;

	if (signature_bytes != sizeof(right))
		return JWT_WRONG_SIGNATURE;
	if (HMAC(EVP_sha256(), key->secret, (int)key->secret_bytes, text, text_bytes, right, &n) == NULL)
		return JWT_NO_MEMORY;
	return CRYPTO_memcmp(right, signature, sizeof(right)) == 0 ? JWT_GOOD : JWT_WRONG_SIGNATURE;
}

static enum jwt_verdict verify_with(EVP_PKEY *key, const void *text, size_t text_bytes, const uint8_t *signature,
				    size_t signature_bytes)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	enum jwt_verdict verdict = JWT_NO_MEMORY;

	if (ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1)
		verdict = EVP_DigestVerify(ctx, signature, signature_bytes, text, text_bytes) == 1
				  ? JWT_GOOD
				  : JWT_WRONG_SIGNATURE;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return verdict;
}

/* A token has the two numbers as they are; OpenSSL wants them in DER. */
static enum jwt_verdict verify_ecdsa(EVP_PKEY *key, const void *text, size_t text_bytes, const uint8_t *signature,
				     size_t signature_bytes)
{
	enum jwt_verdict verdict = JWT_NO_MEMORY;
	BIGNUM *r, *s;
	ECDSA_SIG *pair;
	uint8_t *der = NULL;
	int n;

	if (signature_bytes != ES256_BYTES)
		return JWT_WRONG_SIGNATURE;
	r = BN_bin2bn(signature, ES256_BYTES / 2, NULL);
	s = BN_bin2bn(signature + ES256_BYTES / 2, ES256_BYTES / 2, NULL);
	pair = ECDSA_SIG_new();
	if (r == NULL || s == NULL || pair == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
		BN_free(r);
		BN_free(s);
	} else if ((n = i2d_ECDSA_SIG(pair, &der)) > 0) {
		verdict = verify_with(key, text, text_bytes, der, (size_t)n);
	}
	OPENSSL_free(der);
	ECDSA_SIG_free(pair);
	return verdict;
}

static enum jwt_verdict verify_by(const struct jwt_key *key, const void *text, size_t text_bytes,
				  const uint8_t *signature, size_t signature_bytes)
{
	switch (key->alg) {
	case JWT_HS256:
		return verify_hmac(key, text, text_bytes, signature, signature_bytes);
	case JWT_ES256:
		return verify_ecdsa(key->public_key, text, text_bytes, signature, signature_bytes);
	default:
		return verify_with(key->public_key, text, text_bytes, signature, signature_bytes);
	}
}

enum jwt_verdict jwt_keys_verify(const struct jwt_keys *keys, const char *kid, enum jwt_alg alg, const void *text,
				 size_t text_bytes, const uint8_t *signature, size_t signature_bytes)
{
	enum jwt_verdict verdict = JWT_UNKNOWN_KEY;

	OBJ_CHECK(keys, JWT_KEYS_MAGIC);
	for (unsigned i = 0; i < keys->n && verdict != JWT_GOOD && verdict != JWT_NO_MEMORY; i++) {
		const struct jwt_key *key = &keys->keys[i];

		if (strcmp(key->kid, kid != NULL ? kid : "") != 0)
			continue;
		/* A key of the wrong algorithm is not tried, and covers up no other's verdict. */
		if (key->alg == alg)
			verdict = verify_by(key, text, text_bytes, signature, signature_bytes);
		else if (verdict == JWT_UNKNOWN_KEY)
			verdict = JWT_WRONG_ALG;
	}
	return verdict;
}
