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
#include "common/base/park.h"

#define SECRET_BYTES_MIN 32   /* RFC 7518, 3.2: as long as the hash */
#define RSA_BITS_MIN     2048 /* RFC 7518, 3.3 */
#define SHA256_BYTES     32

/* RFC 7518, 3.1, and RFC 8037, 3.1. */
static const struct alg {
	const char *name;
	const EVP_MD *(*hash)(void); /* NULL: the signature has its own */
	const char *group;           /* JWT_EC: its curve, by the name that OpenSSL has for it */
	enum jwt_kind kind;
	unsigned number_bytes; /* JWT_EC: of each of the two numbers that are the signature */
} algs[JWT_ALGS] = {
	[JWT_HS256] = {"HS256", EVP_sha256, NULL, JWT_SECRET, 0},
	[JWT_RS256] = {"RS256", EVP_sha256, NULL, JWT_RSA, 0},
	[JWT_RS384] = {"RS384", EVP_sha384, NULL, JWT_RSA, 0},
	[JWT_RS512] = {"RS512", EVP_sha512, NULL, JWT_RSA, 0},
	[JWT_ES256] = {"ES256", EVP_sha256, "prime256v1", JWT_EC, 32},
	[JWT_ES384] = {"ES384", EVP_sha384, "secp384r1", JWT_EC, 48},
	[JWT_EDDSA] = {"EdDSA", NULL, NULL, JWT_ED25519, 0},
};

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
	for (unsigned i = 0; i < JWT_ALGS; i++)
		if (strlen(algs[i].name) == n && memcmp(algs[i].name, name, n) == 0) {
			*alg = (enum jwt_alg)i;
			return true;
		}
	return false;
}

enum jwt_kind jwt_alg_kind(enum jwt_alg alg)
{
	return algs[alg].kind;
}

const char *jwt_alg_group(enum jwt_alg alg)
{
	return algs[alg].group;
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

size_t jwt_secret_bytes(const void *file, size_t n)
{
	const uint8_t *bytes = file;

	if (n > 0 && bytes[n - 1] == '\n')
		n--;
	return n > 0 && bytes[n - 1] == '\r' ? n - 1 : n;
}

static int read_secret(struct jwt_key *key, const uint8_t *bytes, size_t n, const char **fault)
{
	static const char pem[] = "-----BEGIN";

	n = jwt_secret_bytes(bytes, n);
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

static bool is_on(const EVP_PKEY *key, const char *wanted)
{
	char group[32];
	size_t n;

	return EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1 && strcmp(group, wanted) == 0;
}

/* NULL: it is a key for this algorithm. */
static const char *fault_of(const EVP_PKEY *key, enum jwt_alg alg)
{
	int id = EVP_PKEY_get_base_id(key);

	switch (algs[alg].kind) {
	case JWT_RSA:
		if (id != EVP_PKEY_RSA)
			return "is no RSA key, as RS256, RS384 and RS512 need";
		return EVP_PKEY_get_bits(key) < RSA_BITS_MIN ? "is an RSA key of less than 2048 bits" : NULL;
	case JWT_EC:
		if (id == EVP_PKEY_EC && is_on(key, algs[alg].group))
			return NULL;
		return alg == JWT_ES256 ? "is no key on the curve P-256, as ES256 needs"
					: "is no key on the curve P-384, as ES384 needs";
	default:
		return id == EVP_PKEY_ED25519 ? NULL : "is no Ed25519 key, as EdDSA needs";
	}
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
		*fault = fault_of(key->public_key, key->alg);
	return *fault == NULL ? 0 : -ERR_CONFIG;
}

unsigned jwt_keys_count(const struct jwt_keys *keys)
{
	OBJ_CHECK(keys, JWT_KEYS_MAGIC);
	return keys->n;
}

bool jwt_keys_has(const struct jwt_keys *keys, const char *kid)
{
	OBJ_CHECK(keys, JWT_KEYS_MAGIC);
	for (unsigned i = 0; i < keys->n; i++)
		if (strcmp(keys->keys[i].kid, kid) == 0)
			return true;
	return false;
}

/* NULL: the set takes a key of this name. */
static const char *fault_of_name(const struct jwt_keys *keys, const char *kid)
{
	if (keys->n == JWT_KEYS_MAX)
		return "is one key too many";
	return kid[0] != '\0' && jwt_keys_has(keys, kid) ? "has the name of another key" : NULL;
}

static int add(struct jwt_keys *keys, const char *kid, struct jwt_key *key)
{
	if ((key->kid = strdup(kid)) == NULL)
		return -ENOMEM;
	keys->keys[keys->n++] = *key;
	return 0;
}

int jwt_keys_add(struct jwt_keys *keys, const char *kid, enum jwt_alg alg, const void *bytes, size_t n,
		 const char **fault)
{
	struct jwt_key key = {.alg = alg};
	int rc;

	if ((*fault = fault_of_name(keys, kid)) != NULL)
		return -ERR_CONFIG;
	rc = algs[alg].kind == JWT_SECRET ? read_secret(&key, bytes, n, fault) : read_public(&key, bytes, n, fault);
	if (rc == 0)
		rc = add(keys, kid, &key);
	if (rc < 0)
		key_fini(&key);
	return rc;
}

int jwt_keys_add_public(struct jwt_keys *keys, const char *kid, enum jwt_alg alg, EVP_PKEY *public_key,
			const char **fault)
{
	struct jwt_key key = {.alg = alg, .public_key = public_key};

	BUG_UNLESS(algs[alg].kind != JWT_SECRET);
	if ((*fault = fault_of_name(keys, kid)) != NULL || (*fault = fault_of(public_key, alg)) != NULL)
		return -ERR_CONFIG;
	return add(keys, kid, &key);
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

static enum jwt_verdict verify_with(const struct jwt_key *key, const void *text, size_t text_bytes,
				    const uint8_t *signature, size_t signature_bytes)
{
	const EVP_MD *hash = algs[key->alg].hash != NULL ? algs[key->alg].hash() : NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	enum jwt_verdict verdict = JWT_NO_MEMORY;

	park_go_long();
	if (ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, hash, NULL, key->public_key) == 1)
		verdict = EVP_DigestVerify(ctx, signature, signature_bytes, text, text_bytes) == 1
				  ? JWT_GOOD
				  : JWT_WRONG_SIGNATURE;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return verdict;
}

/* A token has the two numbers as they are; OpenSSL wants them in DER. */
static enum jwt_verdict verify_ecdsa(const struct jwt_key *key, const void *text, size_t text_bytes,
				     const uint8_t *signature, size_t signature_bytes)
{
	const unsigned number_bytes = algs[key->alg].number_bytes;
	enum jwt_verdict verdict = JWT_NO_MEMORY;
	BIGNUM *r, *s;
	ECDSA_SIG *pair;
	uint8_t *der = NULL;
	int n;

	if (signature_bytes != 2 * (size_t)number_bytes)
		return JWT_WRONG_SIGNATURE;
	r = BN_bin2bn(signature, (int)number_bytes, NULL);
	s = BN_bin2bn(signature + number_bytes, (int)number_bytes, NULL);
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
	switch (algs[key->alg].kind) {
	case JWT_SECRET:
		return verify_hmac(key, text, text_bytes, signature, signature_bytes);
	case JWT_EC:
		return verify_ecdsa(key, text, text_bytes, signature, signature_bytes);
	default:
		return verify_with(key, text, text_bytes, signature, signature_bytes);
	}
}

enum jwt_verdict jwt_keys_verify(const struct jwt_keys *keys, const char *kid, enum jwt_alg alg, const void *text,
				 size_t text_bytes, const uint8_t *signature, size_t signature_bytes)
{
	enum jwt_verdict verdict = JWT_UNKNOWN_KEY;

	OBJ_CHECK(keys, JWT_KEYS_MAGIC);
	for (unsigned i = 0; i < keys->n && verdict != JWT_GOOD && verdict != JWT_NO_MEMORY; i++) {
		const struct jwt_key *key = &keys->keys[i];

		if (strcmp(key->kid, kid) != 0)
			continue;
		/* A key of the wrong algorithm is not tried, and covers up no other's verdict. */
		if (key->alg == alg)
			verdict = verify_by(key, text, text_bytes, signature, signature_bytes);
		else if (verdict == JWT_UNKNOWN_KEY)
			verdict = JWT_WRONG_ALG;
	}
	return verdict;
}
