/* Tests of logic/jwt and logic/jwt_keys: which tokens are believed. Those that openssl signs are tested end to end; here
 * the secret is one that the test knows. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "logic/jwt.h"
#include "tests/unit/seam.h"
#include "tests/unit/signed_token.h"

static const char p256[] = "-----BEGIN PUBLIC KEY-----\n"
			   "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\n"
			   "q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n"
			   "-----END PUBLIC KEY-----\n";

static struct jwt_keys *keys;
static struct jwt_token read;
static struct jwt_refusal why;
static struct jwt_keys *fetched; /* NULL: none */

static int set_up(void **state)
{
	const char *fault;

	(void)state;
	read = (struct jwt_token){0};
	return jwt_keys_new(&keys) < 0 || jwt_keys_add(keys, "", JWT_HS256, SECRET, strlen(SECRET), &fault) < 0 ? -1
														: 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	jwt_token_fini(&read);
	jwt_keys_unref(&keys);
	if (fetched != NULL)
		jwt_keys_unref(&fetched);
	return 0;
}

/* From a buffer of exactly that size, so that the sanitizer sees a read beyond it. */
static int read_token(const char *token, size_t n)
{
	char *exact = malloc(n + (n == 0));
	int rc;

	assert_non_null(exact);
	memcpy(exact, token, n);
	jwt_token_fini(&read);
	rc = jwt_read(&(struct jwt_sets){keys, fetched}, exact, n, &read, &why);
	free(exact);
	if (rc < 0)
		assert_null(read.claims);
	return rc;
}

static int read_parts(const char *header, const char *payload)
{
	char token[4096];

	sign_token(token, sizeof(token), SECRET, header, payload);
	return read_token(token, strlen(token));
}

static void is_refused(int rc, enum auth_cause cause)
{
	assert_int_equal(rc, -ERR_REFUSED);
	assert_int_equal(why.cause, cause);
}

static void a_token_of_the_standard_is_read(void **state)
{
	/* RFC 7515, A.1: its header and claims have line breaks, its key is 64 bytes. */
	static const char token[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
				    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
				    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
	static const uint8_t secret[] = {3,   35,  53, 75,  43,  15, 165, 188, 131, 126, 6,   101, 119, 123, 166, 143,
					 90,  179, 40, 230, 240, 84, 201, 40,  169, 15,  132, 178, 210, 80,  46,  191,
					 211, 251, 90, 146, 210, 6,  71,  239, 150, 138, 180, 195, 119, 98,  61,  34,
					 61,  46,  33, 114, 5,   46, 79,  8,   192, 205, 154, 245, 103, 208, 128, 163};
	const char *fault;

	(void)state;
	is_refused(read_token(token, strlen(token)), AUTH_SIGNATURE);
	assert_int_equal(jwt_keys_add(keys, "", JWT_HS256, secret, sizeof(secret), &fault), 0);
	assert_int_equal(read_token(token, strlen(token)), 0);
	assert_string_equal(json_string_value(json_object_get(read.claims, "iss")), "joe");
	assert_int_equal(json_integer_value(json_object_get(read.claims, "exp")), 1300819380);
}

static void an_ecdsa_token_of_the_standard_is_read(void **state)
{
	/* Of RFC 7515, A.3; its key is the one above. */
	static const char header[] = "eyJhbGciOiJFUzI1NiJ9", payload[] =
								     "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
								     "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	static const char signature[] =
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
	static const char rfc_key[] = "-----BEGIN PUBLIC KEY-----\n"
				      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
				      "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
				      "-----END PUBLIC KEY-----\n";
	char token[512];
	const char *fault;

	(void)state;
	(void)snprintf(token, sizeof(token), "%s.%s.%s", header, payload, signature);
	is_refused(read_token(token, strlen(token)), AUTH_ALGORITHM);
	assert_int_equal(jwt_keys_add(keys, "", JWT_ES256, p256, strlen(p256), &fault), 0);
	is_refused(read_token(token, strlen(token)), AUTH_SIGNATURE);
	assert_int_equal(jwt_keys_add(keys, "", JWT_ES256, rfc_key, strlen(rfc_key), &fault), 0);
	assert_int_equal(read_token(token, strlen(token)), 0);
	assert_string_equal(json_string_value(json_object_get(read.claims, "iss")), "joe");
	token[strlen(token) - 1] = 'g'; /* another last bit */
	is_refused(read_token(token, strlen(token)), AUTH_SIGNATURE);
}

static void every_bit_of_the_signed_text_counts(void **state)
{
	char token[512], wrong[512];
	size_t n;

	(void)state;
	sign_token(token, sizeof(token), SECRET, "{\"alg\":\"HS256\"}", "{\"mid\":7}");
	n = strlen(token);
	assert_int_equal(read_token(token, n), 0);
	for (size_t i = 0; i < n; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(wrong, token, n);
			wrong[i] = (char)(wrong[i] ^ (1 << bit));
			assert_int_equal(read_token(wrong, n), -ERR_REFUSED);
		}
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(read_token(token, cut), -ERR_REFUSED);
}

static const char other[] = "another secret, which is as long as it has to be";

static void a_key_is_found_by_its_name(void **state)
{
	const char *fault;

	(void)state;
	assert_int_equal(jwt_keys_add(keys, "a", JWT_HS256, other, strlen(other), &fault), 0);
	is_refused(read_parts("{\"alg\":\"HS256\",\"kid\":\"a\"}", "{}"),
		   AUTH_SIGNATURE); /* good for the one without */
	assert_int_equal(read_parts("{\"alg\":\"HS256\"}", "{}"), 0);
	is_refused(read_parts("{\"alg\":\"HS256\",\"kid\":\"\"}", "{}"), AUTH_UNKNOWN_KEY);
	is_refused(read_parts("{\"alg\":\"HS256\",\"kid\":null}", "{}"), AUTH_MALFORMED);
}

static void a_name_that_is_not_known_is_that_of_a_key_without_one(void **state)
{
	char token[512];
	const char *fault;

	(void)state;
	assert_int_equal(read_parts("{\"alg\":\"HS256\",\"kid\":\"a\"}", "{}"), 0);
	sign_token(token, sizeof(token), other, "{\"alg\":\"HS256\",\"kid\":\"A\"}", "{}");
	is_refused(read_token(token, strlen(token)), AUTH_UNKNOWN_KEY);
	assert_string_equal(why.kid, "A");
	/* The name counts where it is known, in any set. */
	assert_int_equal(jwt_keys_new(&fetched), 0);
	assert_int_equal(jwt_keys_add(fetched, "A", JWT_HS256, other, strlen(other), &fault), 0);
	assert_int_equal(read_token(token, strlen(token)), 0);
	is_refused(read_parts("{\"alg\":\"HS256\",\"kid\":\"A\"}", "{}"), AUTH_SIGNATURE);
	assert_string_equal(why.kid, "");
}

static void a_name_in_a_file_covers_the_same_name_elsewhere(void **state)
{
	char token[512];
	const char *fault;

	(void)state;
	sign_token(token, sizeof(token), other, "{\"alg\":\"HS256\",\"kid\":\"a\"}", "{}");
	assert_int_equal(jwt_keys_new(&fetched), 0);
	assert_int_equal(jwt_keys_add(fetched, "a", JWT_HS256, other, strlen(other), &fault), 0);
	assert_int_equal(read_token(token, strlen(token)), 0);
	assert_int_equal(jwt_keys_add(keys, "a", JWT_HS256, SECRET, strlen(SECRET), &fault), 0);
	is_refused(read_token(token, strlen(token)), AUTH_SIGNATURE);
	/* Without a name those of both sets are tried. */
	assert_int_equal(jwt_keys_add(fetched, "", JWT_HS256, other, strlen(other), &fault), 0);
	sign_token(token, sizeof(token), other, "{\"alg\":\"HS256\"}", "{}");
	assert_int_equal(read_token(token, strlen(token)), 0);
}

static void without_a_name_all_keys_without_one_are_tried(void **state)
{
	char token[512];
	const char *fault;

	(void)state;
	assert_int_equal(jwt_keys_add(keys, "", JWT_ES256, p256, strlen(p256), &fault), 0);
	assert_int_equal(jwt_keys_add(keys, "", JWT_HS256, other, strlen(other), &fault), 0);
	assert_int_equal(read_parts("{\"alg\":\"HS256\"}", "{}"), 0);
	sign_token(token, sizeof(token), other, "{\"alg\":\"HS256\"}", "{}");
	assert_int_equal(read_token(token, strlen(token)), 0);
	is_refused(read_parts("{\"alg\":\"RS256\"}", "{}"), AUTH_ALGORITHM);
}

static void the_public_key_is_no_secret(void **state)
{
	char token[2048];
	const char *fault;

	(void)state;
	assert_int_equal(jwt_keys_add(keys, "p", JWT_ES256, p256, strlen(p256), &fault), 0);
	sign_token(token, sizeof(token), p256, "{\"alg\":\"HS256\",\"kid\":\"p\"}", "{\"mid\":1}");
	is_refused(read_token(token, strlen(token)), AUTH_ALGORITHM);
	sign_token(token, sizeof(token), p256, "{\"alg\":\"HS256\"}", "{\"mid\":1}");
	is_refused(read_token(token, strlen(token)), AUTH_SIGNATURE);
	/* Nor does the operator get to make it one. */
	assert_int_equal(jwt_keys_add(keys, "q", JWT_HS256, p256, strlen(p256), &fault), -ERR_CONFIG);
}

static void keys_that_are_none_are_told(void **state)
{
	static const struct {
		const char *kid;
		enum jwt_alg alg;
		const char *bytes, *fault;
	} CASES[] = {
		{"", JWT_HS256, "", "is a secret of less than 32 bytes, which can be guessed"},
		{"", JWT_HS256, "0123456789012345678901234567890\r\n",
		 "is a secret of less than 32 bytes, which can be guessed"},
		{"", JWT_RS256, "", "has no public key in PEM (-----BEGIN PUBLIC KEY-----)"},
		{"", JWT_RS256, p256, "is no RSA key, as RS256, RS384 and RS512 need"},
		{"", JWT_RS512, p256, "is no RSA key, as RS256, RS384 and RS512 need"},
		{"", JWT_ES384, p256, "is no key on the curve P-384, as ES384 needs"},
		{"", JWT_EDDSA, p256, "is no Ed25519 key, as EdDSA needs"},
		{"", JWT_ES256, "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
		 "is a private key: it belongs to the issuer of tokens; give its public key"},
	};
	const char *fault;

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		assert_int_equal(
			jwt_keys_add(keys, CASES[i].kid, CASES[i].alg, CASES[i].bytes, strlen(CASES[i].bytes), &fault),
			-ERR_CONFIG);
		assert_string_equal(fault, CASES[i].fault);
	}
	assert_int_equal(jwt_keys_add(keys, "a", JWT_HS256, SECRET, strlen(SECRET), &fault), 0);
	assert_int_equal(jwt_keys_add(keys, "a", JWT_ES256, p256, strlen(p256), &fault), -ERR_CONFIG);
	assert_string_equal(fault, "has the name of another key");
	for (unsigned i = 2; i < JWT_KEYS_MAX; i++)
		assert_int_equal(jwt_keys_add(keys, "", JWT_HS256, SECRET, strlen(SECRET), &fault), 0);
	assert_int_equal(jwt_keys_add(keys, "", JWT_HS256, SECRET, strlen(SECRET), &fault), -ERR_CONFIG);
	assert_string_equal(fault, "is one key too many");
}

static void a_line_feed_at_the_end_of_a_secret_is_not_part_of_it(void **state)
{
	const char *fault;

	(void)state;
	jwt_keys_unref(&keys);
	assert_int_equal(jwt_keys_new(&keys), 0);
	assert_int_equal(jwt_keys_add(keys, "", JWT_HS256, SECRET "\r\n", strlen(SECRET) + 2, &fault), 0);
	assert_int_equal(read_parts("{\"alg\":\"HS256\"}", "{}"), 0);
}

static void no_memory_is_said_and_leaves_nothing(void **state)
{
	unsigned failed = 0;
	char token[512];

	(void)state;
	sign_token(token, sizeof(token), SECRET, "{\"alg\":\"HS256\"}", "{\"mid\":7}");
	/* The first allocation is the copy of the token. */
	for (unsigned after = 1;; after++) {
		int rc;

		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = read_token(token, strlen(token));
		if (seam_failed(SEAM_ALLOC) == failed) {
			assert_int_equal(rc, 0);
			break;
		}
		failed++;
		assert_int_equal(rc, -ENOMEM);
	}
	assert_true(failed > 10);
}

#define jwt_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		jwt_test(a_token_of_the_standard_is_read),
		jwt_test(an_ecdsa_token_of_the_standard_is_read),
		jwt_test(every_bit_of_the_signed_text_counts),
		jwt_test(a_key_is_found_by_its_name),
		jwt_test(a_name_that_is_not_known_is_that_of_a_key_without_one),
		jwt_test(a_name_in_a_file_covers_the_same_name_elsewhere),
		jwt_test(without_a_name_all_keys_without_one_are_tried),
		jwt_test(the_public_key_is_no_secret),
		jwt_test(keys_that_are_none_are_told),
		jwt_test(a_line_feed_at_the_end_of_a_secret_is_not_part_of_it),
		jwt_test(no_memory_is_said_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
