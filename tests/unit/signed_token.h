/* signed_token: makes tokens for tests and fuzzers. SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SIGNED_TOKEN_H
#define TESTS_UNIT_SIGNED_TOKEN_H

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "common/base/obj.h"

#define SECRET "a secret that all who read these tests know"

/* base64url of n bytes, without padding. */
static inline size_t token_part(char *out, size_t room, const void *bytes, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const uint8_t *in = bytes;
	size_t used = 0;

	BUG_UNLESS(room > (n * 4 + 2) / 3);
	for (size_t bit = 0; bit < n * 8; bit += 6) {
		size_t i = bit / 8;
		unsigned pair = (unsigned)in[i] << 8 | (i + 1 < n ? in[i + 1] : 0);

		out[used++] = digits[pair >> (10 - bit % 8) & 63];
	}
	out[used] = '\0';
	return used;
}

static inline size_t sign_token_bytes(char *out, size_t room, const char *secret, const char *header,
				      const void *payload, size_t n)
{
	size_t used = token_part(out, room, header, strlen(header));
	uint8_t hash[32];
	unsigned hash_bytes;

	out[used++] = '.';
	used += token_part(out + used, room - used, payload, n);
	BUG_UNLESS(HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)out, used, hash, &hash_bytes) !=
		   NULL);
	out[used++] = '.';
	return used + token_part(out + used, room - used, hash, hash_bytes);
}

/* header.payload.signature, signed with HS256 whatever the header says. */
static inline void sign_token(char *out, size_t room, const char *secret, const char *header, const char *payload)
{
	(void)sign_token_bytes(out, room, secret, header, payload, strlen(payload));
}

#endif
