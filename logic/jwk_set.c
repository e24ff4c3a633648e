/* jwk_set: see jwk_set.h. SPDX-License-Identifier: MIT */
#include "logic/jwk_set.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/json.h"
#include "logic/base64url.h"

#define EC_NUMBER_MAX 48   /* of P-384 */
#define RSA_BYTES_MAX 1024 /* 8192 bits; OpenSSL checks a signature with more for milliseconds */
#define ED25519_BYTES 32

/* ---- members ---- */

static const char *text_of(const json_t *key, const char *member)
{
	const char *text = json_string_value(json_object_get(key, member));

	return text != NULL ? text : "";
}

static bool is(const json_t *key, const char *member, const char *text)
{
	return strcmp(text_of(key, member), text) == 0;
}

/* Absent, or a string. */
static bool may_be_text(const json_t *key, const char *member)
{
	const json_t *value = json_object_get(key, member);

	return value == NULL || json_is_string(value);
}

/* A number or point, of 1 to bytes_max bytes. -EBADMSG, -ENOMEM. */
static int bytes_of(const json_t *key, const char *member, size_t bytes_max, uint8_t **out, size_t *n)
{
	const json_t *value = json_object_get(key, member);
	int rc = base64url_decode(text_of(key, member), json_string_length(value), out, n);

	return rc == 0 && (*n == 0 || *n > bytes_max) ? -EBADMSG : rc;
}

/* ---- OpenSSL's key of it ---- */

/* Of the kind, from what `build` has got; build may be NULL. */
static int make(const char *kind, OSSL_PARAM_BLD *build, EVP_PKEY **out)
{
	OSSL_PARAM *params = build != NULL ? OSSL_PARAM_BLD_to_param(build) : NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	int rc = params == NULL || ctx == NULL ? -ENOMEM : 0;

	if (rc == 0 && (EVP_PKEY_fromdata_init(ctx) != 1 ||
			EVP_PKEY_fromdata(ctx, out, EVP_PKEY_PUBLIC_KEY, params) != 1)) /* a point beside its curve */
		rc = -EBADMSG;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	ERR_clear_error();
	return rc;
}

static int make_rsa(const uint8_t *n, size_t n_bytes, const uint8_t *e, size_t e_bytes, EVP_PKEY **out)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *modulus = BN_bin2bn(n, (int)n_bytes, NULL), *exponent = BN_bin2bn(e, (int)e_bytes, NULL);
	int rc = -ENOMEM;

	if (build != NULL && modulus != NULL && exponent != NULL &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
		rc = make("RSA", build, out);
	BN_free(modulus);
	BN_free(exponent);
	OSSL_PARAM_BLD_free(build);
	return rc;
}

static int read_rsa(const json_t *key, EVP_PKEY **out)
{
	uint8_t *n = NULL, *e = NULL;
	size_t n_bytes, e_bytes;
	int rc = bytes_of(key, "n", RSA_BYTES_MAX, &n, &n_bytes);

	/* No exponent in use is longer than four bytes, and a long one makes checks slow. */
	if (rc == 0 && (rc = bytes_of(key, "e", 4, &e, &e_bytes)) == 0)
		rc = make_rsa(n, n_bytes, e, e_bytes, out);
	free(n);
	free(e);
	return rc;
}

/* x and y, each as long as the curve's numbers are (RFC 7518, 6.2.1.2). */
static int read_ec(const json_t *key, const char *group, size_t number_bytes, EVP_PKEY **out)
{
	uint8_t point[1 + 2 * EC_NUMBER_MAX] = {4 /* uncompressed */}, *x = NULL, *y = NULL;
	size_t x_bytes, y_bytes;
	OSSL_PARAM_BLD *build = NULL;
	int rc = bytes_of(key, "x", number_bytes, &x, &x_bytes);

	if (rc == 0)
		rc = bytes_of(key, "y", number_bytes, &y, &y_bytes);
	if (rc == 0 && (x_bytes != number_bytes || y_bytes != number_bytes))
		rc = -EBADMSG;
	if (rc == 0) {
		memcpy(point + 1, x, number_bytes);
		memcpy(point + 1 + number_bytes, y, number_bytes);
		build = OSSL_PARAM_BLD_new();
		rc = build != NULL &&
				     OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) ==
					     1 &&
				     OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
								      1 + 2 * number_bytes) == 1
			     ? make("EC", build, out)
			     : -ENOMEM;
	}
	OSSL_PARAM_BLD_free(build);
	free(x);
	free(y);
	return rc;
}

static int read_ed25519(const json_t *key, EVP_PKEY **out)
{
	uint8_t *x = NULL;
	size_t n;
	int rc = bytes_of(key, "x", ED25519_BYTES, &x, &n);

	if (rc == 0 && n != ED25519_BYTES)
		rc = -EBADMSG;
	if (rc == 0 && (*out = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, n)) == NULL)
		rc = -ENOMEM;
	ERR_clear_error();
	free(x);
	return rc;
}

/* ---- one key ---- */

/* Without `alg`, what the key is for where nobody says more. False: for nothing of ours. */
static bool usual_alg(const json_t *key, enum jwt_alg *alg)
{
	static const struct usual {
		const char *kty, *crv;
		enum jwt_alg alg;
	} usual[] = {
		{"RSA", "", JWT_RS256},
		{"EC", "P-256", JWT_ES256},
		{"EC", "P-384", JWT_ES384},
		{"OKP", "Ed25519", JWT_EDDSA},
	};

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (is(key, "kty", usual[i].kty) && is(key, "crv", usual[i].crv)) {
			*alg = usual[i].alg;
			return true;
		}
	return false;
}

static bool is_to_verify(const json_t *key)
{
	const json_t *ops = json_object_get(key, "key_ops"), *op;
	size_t i;

	if (json_object_get(key, "use") != NULL && !is(key, "use", "sig"))
		return false;
	json_array_foreach(ops, i, op)
	{
		if (json_is_string(op) && strcmp(json_string_value(op), "verify") == 0)
			return true;
	}
	return ops == NULL;
}

static int read_public(const json_t *key, enum jwt_alg alg, EVP_PKEY **out)
{
	switch (alg) {
	case JWT_ES256:
		return read_ec(key, jwt_alg_group(alg), 32, out);
	case JWT_ES384:
		return read_ec(key, jwt_alg_group(alg), 48, out);
	case JWT_EDDSA:
		return read_ed25519(key, out);
	default:
		return read_rsa(key, out);
	}
}

/* 0; -EBADMSG: it is left out; -ENOMEM. */
static int add_key(struct jwt_keys *keys, const json_t *key)
{
	EVP_PKEY *public_key = NULL;
	enum jwt_alg alg, usual;
	const char *fault;
	int rc;

	if (!may_be_text(key, "kid") || !may_be_text(key, "alg") || !usual_alg(key, &usual) || !is_to_verify(key))
		return -EBADMSG;
	alg = usual;
	if (json_object_get(key, "alg") != NULL &&
	    (!jwt_alg_find(text_of(key, "alg"), strlen(text_of(key, "alg")), &alg) ||
	     jwt_alg_kind(alg) != jwt_alg_kind(usual) || (jwt_alg_kind(alg) == JWT_EC && alg != usual)))
		return -EBADMSG;
	if ((rc = read_public(key, alg, &public_key)) == 0)
		rc = jwt_keys_add_public(keys, text_of(key, "kid"), alg, public_key, &fault);
	if (rc < 0)
		EVP_PKEY_free(public_key);
	return rc == -ERR_CONFIG ? -EBADMSG : rc;
}

/* ---- the set ---- */

static int add_keys(const json_t *set, struct jwt_keys *keys, unsigned *left_out, const char **fault)
{
	const json_t *list = json_object_get(set, "keys"), *key;
	unsigned added = 0;
	size_t i;

	*fault = json_is_array(list) ? NULL : "it is no JSON object with a list `keys`";
	json_array_foreach(list, i, key)
	{
		int rc = add_key(keys, key);

		if (rc == -ENOMEM)
			return rc;
		*(rc == 0 ? &added : left_out) += 1;
	}
	if (*fault == NULL && added == 0)
		*fault = "it has no public key for RS256, RS384, RS512, ES256, ES384 or EdDSA";
	return *fault == NULL ? 0 : -EBADMSG;
}

int jwk_set_read(const char *text, size_t n, struct jwt_keys **out, unsigned *left_out, const char **fault)
{
	json_t *set = json_read(text, n, JSON_REJECT_DUPLICATES);
	struct jwt_keys *keys = NULL;
	int rc = set == NULL && json_ran_out() ? -ENOMEM : jwt_keys_new(&keys);

	*left_out = 0;
	if (rc == 0)
		rc = add_keys(set, keys, left_out, fault);
	json_decref(set);
	if (rc == 0)
		*out = keys;
	else if (keys != NULL)
		jwt_keys_unref(&keys);
	return rc;
}
