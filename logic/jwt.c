/* jwt: see jwt.h. Why not libjwt: docs/dependencies.md. SPDX-License-Identifier: MIT */
#include "logic/jwt.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/json.h"

/* ---- base64url ---- */

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* No padding, and bits that are left over must be zero: so a signature has one spelling only. Malloc'ed.
 * -EBADMSG, -ENOMEM. */
static int decode(const char *text, size_t n, uint8_t **out, size_t *bytes)
{
	unsigned bits = 0, held = 0;

	*bytes = 0;
	if (n % 4 == 1)
		return -EBADMSG;
	if ((*out = malloc(n / 4 * 3 + 3)) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int d = digit(text[i]);

		if (d < 0)
			return -EBADMSG;
		bits = bits << 6 | (unsigned)d;
		held += 6;
		if (held >= 8) {
			held -= 8;
			(*out)[(*bytes)++] = (uint8_t)(bits >> held);
			bits &= (1u << held) - 1;
		}
	}
	return bits == 0 ? 0 : -EBADMSG;
}

/* A part that is a JSON object. -EBADMSG, -ENOMEM. */
static int decode_object(const char *text, size_t n, json_t **out)
{
	uint8_t *bytes = NULL;
	size_t used;
	int rc = decode(text, n, &bytes, &used);

	if (rc == 0) {
		*out = json_read(bytes, used, JSON_REJECT_DUPLICATES);
		if (*out == NULL && json_ran_out())
			rc = -ENOMEM;
		else if (!json_is_object(*out))
			rc = -EBADMSG;
		if (rc < 0) {
			json_decref(*out);
			*out = NULL;
		}
	}
	free(bytes);
	return rc;
}

/* ---- the parts ---- */

/* header . claims . signature */
struct parts {
	const char *header, *claims, *signature;
	size_t header_bytes, claims_bytes, signature_bytes;
};

static bool split(const char *token, size_t n, struct parts *p)
{
	const char *dot = memchr(token, '.', n), *dot2, *end = token + n;

	if (dot == NULL || (dot2 = memchr(dot + 1, '.', (size_t)(end - dot - 1))) == NULL ||
	    memchr(dot2 + 1, '.', (size_t)(end - dot2 - 1)) != NULL)
		return false;
	*p = (struct parts){
		token, dot + 1, dot2 + 1, (size_t)(dot - token), (size_t)(dot2 - dot - 1), (size_t)(end - dot2 - 1)};
	return true;
}

static int refuse(enum auth_cause *why, enum auth_cause cause)
{
	*why = cause;
	return -ERR_REFUSED;
}

static int verify(const struct jwt_keys *keys, const json_t *header, const struct parts *p, const uint8_t *signature,
		  size_t signature_bytes, enum auth_cause *why)
{
	const json_t *kid = json_object_get(header, "kid"), *alg_name = json_object_get(header, "alg");
	enum jwt_alg alg;

	if (json_object_get(header, "crit") != NULL || !json_is_string(alg_name) ||
	    (kid != NULL && !json_is_string(kid)))
		return refuse(why, AUTH_MALFORMED);
	if (!jwt_alg_find(json_string_value(alg_name), json_string_length(alg_name), &alg))
		return refuse(why, AUTH_ALGORITHM);
	/* An empty name is none, and must not be taken for that of the keys without one. */
	if (kid != NULL && json_string_length(kid) == 0)
		return refuse(why, AUTH_UNKNOWN_KEY);
	switch (jwt_keys_verify(keys, json_string_value(kid), alg, p->header,
				(size_t)(p->claims + p->claims_bytes - p->header), signature, signature_bytes)) {
	case JWT_GOOD:
		return 0;
	case JWT_NO_MEMORY:
		return -ENOMEM;
	case JWT_UNKNOWN_KEY:
		return refuse(why, AUTH_UNKNOWN_KEY);
	case JWT_WRONG_ALG:
		return refuse(why, AUTH_ALGORITHM);
	default:
		return refuse(why, AUTH_SIGNATURE);
	}
}

int jwt_read(const struct jwt_keys *keys, const char *token, size_t n, json_t **claims, enum auth_cause *why)
{
	struct parts p;
	json_t *header = NULL;
	uint8_t *signature = NULL;
	size_t signature_bytes;
	int rc;

	if (!split(token, n, &p))
		return refuse(why, AUTH_MALFORMED);
	if ((rc = decode_object(p.header, p.header_bytes, &header)) == 0 &&
	    (rc = decode(p.signature, p.signature_bytes, &signature, &signature_bytes)) == 0 &&
	    (rc = verify(keys, header, &p, signature, signature_bytes, why)) == 0)
		rc = decode_object(p.claims, p.claims_bytes, claims);
	free(signature);
	json_decref(header);
	return rc == -EBADMSG ? refuse(why, AUTH_MALFORMED) : rc;
}
