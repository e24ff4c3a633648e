/* jwt: see jwt.h. Why not libjwt: docs/dependencies.md. SPDX-License-Identifier: MIT */
#include "logic/jwt.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/json.h"
#include "logic/base64url.h"

/* A part that is a JSON object. -EBADMSG, -ENOMEM. */
static int decode_object(const char *text, size_t n, json_t **out)
{
	uint8_t *bytes = NULL;
	size_t used;
	int rc = base64url_decode(text, n, &bytes, &used);

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

static int refuse(struct jwt_refusal *why, enum auth_cause cause)
{
	*why = (struct jwt_refusal){.cause = cause};
	return -ERR_REFUSED;
}

static int refuse_kid(struct jwt_refusal *why, const char *kid)
{
	(void)refuse(why, AUTH_UNKNOWN_KEY);
	(void)snprintf(why->kid, sizeof(why->kid), "%s", kid);
	return -ERR_REFUSED;
}

/* The text that was signed, and its signature. */
struct proof {
	enum jwt_alg alg;
	const char *text;
	size_t text_bytes;
	const uint8_t *signature;
	size_t signature_bytes;
};

static enum jwt_verdict try_sets(const struct jwt_sets *sets, const char *kid, const struct proof *p)
{
	enum jwt_verdict verdict =
		jwt_keys_verify(sets->files, kid, p->alg, p->text, p->text_bytes, p->signature, p->signature_bytes);

	if (verdict == JWT_GOOD || verdict == JWT_NO_MEMORY || sets->fetched == NULL ||
	    (kid[0] != '\0' && verdict != JWT_UNKNOWN_KEY)) /* a name in a file covers the same name elsewhere */
		return verdict;
	return jwt_keys_verify(sets->fetched, kid, p->alg, p->text, p->text_bytes, p->signature, p->signature_bytes);
}

/* A name that is not known may be that of a key which the operator gave no name. */
static int judge(const struct jwt_sets *sets, const char *kid, const struct proof *p, struct jwt_refusal *why)
{
	enum jwt_verdict verdict = try_sets(sets, kid != NULL ? kid : "", p);
	bool is_known = kid == NULL || verdict != JWT_UNKNOWN_KEY;

	if (!is_known)
		verdict = try_sets(sets, "", p);
	switch (verdict) {
	case JWT_GOOD:
		return 0;
	case JWT_NO_MEMORY:
		return -ENOMEM;
	case JWT_WRONG_ALG:
		return is_known ? refuse(why, AUTH_ALGORITHM) : refuse_kid(why, kid);
	case JWT_WRONG_SIGNATURE:
		return is_known ? refuse(why, AUTH_SIGNATURE) : refuse_kid(why, kid);
	default:
		return refuse_kid(why, kid != NULL ? kid : "");
	}
}

static int verify(const struct jwt_sets *sets, const json_t *header, struct proof *p, struct jwt_refusal *why)
{
	const json_t *kid = json_object_get(header, "kid"), *alg_name = json_object_get(header, "alg");

	if (json_object_get(header, "crit") != NULL || !json_is_string(alg_name) ||
	    (kid != NULL && !json_is_string(kid)))
		return refuse(why, AUTH_MALFORMED);
	if (!jwt_alg_find(json_string_value(alg_name), json_string_length(alg_name), &p->alg))
		return refuse(why, AUTH_ALGORITHM);
	/* An empty name is none, and must not be taken for that of the keys without one. */
	if (kid != NULL && json_string_length(kid) == 0)
		return refuse(why, AUTH_UNKNOWN_KEY);
	return judge(sets, json_string_value(kid), p, why);
}

/* A name in a file covers the same name elsewhere. */
static const char *signer_of(const struct jwt_sets *sets, const json_t *header)
{
	const char *kid = json_string_value(json_object_get(header, "kid"));

	return kid != NULL && jwt_keys_has(sets->files, kid) ? kid : NULL;
}

void jwt_token_fini(struct jwt_token *token)
{
	json_decref(token->header);
	json_decref(token->claims);
	*token = (struct jwt_token){0};
}

int jwt_read(const struct jwt_sets *sets, const char *token, size_t n, struct jwt_token *out, struct jwt_refusal *why)
{
	struct parts p;
	struct proof proof;
	uint8_t *signature = NULL;
	size_t signature_bytes;
	int rc;

	*out = (struct jwt_token){0};
	if (!split(token, n, &p))
		return refuse(why, AUTH_MALFORMED);
	if ((rc = decode_object(p.header, p.header_bytes, &out->header)) == 0 &&
	    (rc = base64url_decode(p.signature, p.signature_bytes, &signature, &signature_bytes)) == 0) {
		proof = (struct proof){.text = p.header,
				       .text_bytes = (size_t)(p.claims + p.claims_bytes - p.header),
				       .signature = signature,
				       .signature_bytes = signature_bytes};
		rc = verify(sets, out->header, &proof, why);
	}
	if (rc == 0)
		rc = decode_object(p.claims, p.claims_bytes, &out->claims);
	free(signature);
	if (rc == 0)
		out->signer = signer_of(sets, out->header);
	else
		jwt_token_fini(out);
	return rc == -EBADMSG ? refuse(why, AUTH_MALFORMED) : rc;
}
