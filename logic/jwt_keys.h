/* jwt_keys: the keys that signatures of tokens are checked with. Each has one algorithm, given by the operator; the algorithm that a
 * token names chooses nothing. Counted: a check keeps the keys that were there when it began.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_JWT_KEYS_H
#define LOGIC_JWT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum jwt_alg { JWT_HS256, JWT_RS256, JWT_RS384, JWT_RS512, JWT_ES256, JWT_ES384, JWT_EDDSA, JWT_ALGS };
enum jwt_kind { JWT_SECRET, JWT_RSA, JWT_EC, JWT_ED25519 };

/* By its name in RFC 7518 or 8037, letter for letter. False: none of ours. */
bool jwt_alg_find(const char *name, size_t n, enum jwt_alg *alg);
enum jwt_kind jwt_alg_kind(enum jwt_alg alg);
/* The curve of a JWT_EC, by the name that OpenSSL has for it. */
const char *jwt_alg_group(enum jwt_alg alg);

#define JWT_KEYS_MAX 32 /* a token whose key is not known by its name is tried with all keys that have none */

struct jwt_keys;
struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

/* 0 or -ENOMEM. */
int jwt_keys_new(struct jwt_keys **out);
struct jwt_keys *jwt_keys_ref(struct jwt_keys *keys);
void jwt_keys_unref(struct jwt_keys **keys);

/* Before others know the keys: add one, from the bytes of its file; kid "" for a key without a name.
 *   0; -ENOMEM
 *   -ERR_CONFIG  *fault has the words: no such key, too weak, not the algorithm's, or the name is taken */
int jwt_keys_add(struct jwt_keys *keys, const char *kid, enum jwt_alg alg, const void *bytes, size_t n,
		 const char **fault);
/* The same for a public key that OpenSSL has made. On 0 it is the set's. */
int jwt_keys_add_public(struct jwt_keys *keys, const char *kid, enum jwt_alg alg, struct evp_pkey_st *public_key,
			const char **fault);
/* So many of the bytes of a secret's file are the secret: editors and openssl end it with a line feed, which no issuer counts. */
size_t jwt_secret_bytes(const void *file, size_t n);

unsigned jwt_keys_count(const struct jwt_keys *keys);
/* Is there a key of this name? */
bool jwt_keys_has(const struct jwt_keys *keys, const char *kid);

enum jwt_verdict { JWT_GOOD, JWT_WRONG_SIGNATURE, JWT_UNKNOWN_KEY, JWT_WRONG_ALG, JWT_NO_MEMORY };

/* Is this the signature of `text`? By a key of this name; "": by any key without one. Any thread. */
enum jwt_verdict jwt_keys_verify(const struct jwt_keys *keys, const char *kid, enum jwt_alg alg, const void *text,
				 size_t text_bytes, const uint8_t *signature, size_t signature_bytes);

#endif
