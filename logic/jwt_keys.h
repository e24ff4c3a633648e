/* jwt_keys: the keys that signatures of tokens are checked with. Each has one algorithm, given by the operator; the algorithm that a
 * token names chooses nothing. Counted: a check keeps the keys that were there when it began.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_JWT_KEYS_H
#define LOGIC_JWT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum jwt_alg { JWT_HS256, JWT_RS256, JWT_ES256, JWT_ALGS };

/* By its name in RFC 7518, letter for letter. False: none of ours. */
bool jwt_alg_find(const char *name, size_t n, enum jwt_alg *alg);

#define JWT_KEYS_MAX 32 /* a token without a key's name is tried with all keys that have none */

struct jwt_keys;

/* 0 or -ENOMEM. */
int jwt_keys_new(struct jwt_keys **out);
struct jwt_keys *jwt_keys_ref(struct jwt_keys *keys);
void jwt_keys_unref(struct jwt_keys **keys);

/* Before others know the keys: add one, from the bytes of its file; kid "" for a key without a name.
 *   0; -ENOMEM
 *   -ERR_CONFIG  *fault has the words: no such key, too weak, not the algorithm's, or the name is taken */
int jwt_keys_add(struct jwt_keys *keys, const char *kid, enum jwt_alg alg, const void *bytes, size_t n,
		 const char **fault);

enum jwt_verdict { JWT_GOOD, JWT_WRONG_SIGNATURE, JWT_UNKNOWN_KEY, JWT_WRONG_ALG, JWT_NO_MEMORY };

/* Is this the signature of `text`? kid NULL: the token names no key. Any thread. */
enum jwt_verdict jwt_keys_verify(const struct jwt_keys *keys, const char *kid, enum jwt_alg alg, const void *text,
				 size_t text_bytes, const uint8_t *signature, size_t signature_bytes);

#endif
