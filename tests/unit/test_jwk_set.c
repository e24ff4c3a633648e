/* Tests of logic/jwk_set: which keys of a published set are taken. Signatures by such keys are checked end to end.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logic/jwk_set.h"
#include "tests/unit/seam.h"

#define RSA_N                                                                                                          \
	"rt8NHq_APSD33SDpHoKio8J5YyPBPKgew2XYLAM_Z8UIIpXYwgIs4Dc4K9st9Es0mPYmWGjkEq7uQ7gcjlk5SlXDWPIN_xvny8SKkeAw3nGQ" \
	"tmm_fwAhLug3Im21uqQoD6rhph9y9KC2h5OSy0SRY2qwff8JWYOZgnAc58q9ZzylQm-OgdwoUTZWL962H44dBpbaVoNouKJAwHFBcGZmFFRA" \
	"HclgeOKG78FQWQqel566qs8DeqKhLtaiM_w0VelUm3p6hs2_YluhvPZllKQ8JiVxnIdFHs4cG9jsqU3bPY_elgJlSyA1v66aK7N-nHnCEsZi" \
	"d0Wo3HsuSYf0Q93zSw"
#define WEAK_N                                                                                                         \
	"xg1RdT1JUqFQcjNynoQsTs5QHkYxUsc-391uU7OQZUmN5E7GRVbrI19pd6ss1Gb_2_v9cKcmaU3qA5a2IKI6Oq8qobzDSV7b98Xciz9u5EYS" \
	"eiihKfq79MT8fFDrQ_doZaQNpVhDCvkhwITwBeanWFqlPjZB1AcdrM6d0pQAja0"
#define RSA "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" RSA_N "\""
/* Of RFC 7515, A.3. */
#define P256                                                                                                           \
	"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                      \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define P384                                                                                                           \
	"\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"bIEw0_bgV53F0-YceT2qwCFbVdtJScmAuPuhK6l08qlFtY5mrcZjzm8q0_m5sWZN\"," \
	"\"y\":\"VDTnsSKNogbGAhaos3u9Kd-FajLIFAbC_qs1ygDC9GSsFt0qkRb0S3gHRzkl9dBk\""
/* Of RFC 8037, A.2. */
#define ED25519 "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""

static struct jwt_keys *keys;
static unsigned left_out;
static const char *fault;

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	if (keys != NULL)
		jwt_keys_unref(&keys);
	return 0;
}

/* From a buffer of exactly that size, so that the sanitizer sees a read beyond it. */
static int read_text(const char *text)
{
	size_t n = strlen(text);
	char *exact = malloc(n + (n == 0));
	int rc;

	assert_non_null(exact);
	memcpy(exact, text, n);
	if (keys != NULL)
		jwt_keys_unref(&keys);
	rc = jwk_set_read(exact, n, &keys, &left_out, &fault);
	free(exact);
	return rc;
}

static int read_one(const char *key)
{
	char text[4096];

	(void)snprintf(text, sizeof(text), "{\"keys\":[{%s}]}", key);
	return read_text(text);
}

/* Is this the algorithm of the key without a name? A wrong signature of the right algorithm is told from a wrong algorithm. */
static bool is_for(enum jwt_alg alg)
{
	static const uint8_t nothing[96];

	return jwt_keys_verify(keys, "", alg, "", 0, nothing, sizeof(nothing)) == JWT_WRONG_SIGNATURE;
}

static void a_key_without_alg_is_for_what_its_kind_says(void **state)
{
	(void)state;
	assert_int_equal(read_one(RSA), 0);
	assert_true(is_for(JWT_RS256) && !is_for(JWT_RS384));
	assert_int_equal(read_one(P256), 0);
	assert_true(is_for(JWT_ES256));
	assert_int_equal(read_one(P384), 0);
	assert_true(is_for(JWT_ES384));
	assert_int_equal(read_one(ED25519), 0);
	assert_true(is_for(JWT_EDDSA));
}

static void alg_chooses_within_the_kind(void **state)
{
	(void)state;
	assert_int_equal(
		read_one(RSA ",\"alg\":\"RS512\",\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"],\"x5t\":\"?\""), 0);
	assert_true(is_for(JWT_RS512) && !is_for(JWT_RS256));
}

static void names_are_taken_over_and_the_first_counts(void **state)
{
	(void)state;
	assert_int_equal(
		read_text("{\"keys\":[{" RSA ",\"kid\":\"a\"},{" P256 ",\"kid\":\"a\"},{" P256 ",\"kid\":\"b\"}]}"), 0);
	assert_int_equal(jwt_keys_count(keys), 2);
	assert_int_equal(left_out, 1);
	assert_true(jwt_keys_has(keys, "a") && jwt_keys_has(keys, "b") && !jwt_keys_has(keys, "c"));
}

static void what_signs_no_tokens_of_ours_is_left_out(void **state)
{
	static const char *const none[] = {
		"",
		"\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
		"1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"",
		"\"kty\":\"oct\",\"alg\":\"HS256\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"",
		RSA ",\"alg\":\"HS256\"",
		RSA ",\"alg\":\"none\"",
		RSA ",\"alg\":\"PS256\"",
		RSA ",\"alg\":\"ES256\"",
		RSA ",\"alg\":7",
		RSA ",\"kid\":7",
		RSA ",\"use\":\"enc\"",
		RSA ",\"use\":7",
		RSA ",\"key_ops\":[\"encrypt\"]",
		RSA ",\"key_ops\":[]",
		P256 ",\"alg\":\"ES384\"",
		"\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" WEAK_N "\"",
		"\"kty\":\"RSA\",\"e\":\"AQABAQAB\",\"n\":\"" RSA_N "\"",
		"\"kty\":\"RSA\",\"e\":\"\",\"n\":\"" RSA_N "\"",
		"\"kty\":\"RSA\",\"n\":\"" RSA_N "\"",
		"\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" RSA_N "=\"",
		"\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":65537",
		"\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AA\",\"y\":\"AA\"",
		"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"",
		/* a point that is not on the curve */
		"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
		"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5aw\"",
		"\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"",
		"\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qY\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_int_equal(read_one(none[i]), -EBADMSG);
		assert_string_equal(fault, "it has no public key for RS256, RS384, RS512, ES256, ES384 or EdDSA");
		assert_int_equal(left_out, 1);
	}
	assert_int_equal(read_text("{\"keys\":[7,null,[],{" P256 "}]}"), 0);
	assert_int_equal(jwt_keys_count(keys), 1);
	assert_int_equal(left_out, 3);
}

static void what_is_no_set_is_told(void **state)
{
	static const char *const texts[] = {"", "[]", "7", "{}", "{\"keys\":{}}", "{\"keys\":[{" RSA "}]", "<html>"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(read_text(texts[i]), -EBADMSG);
		assert_string_equal(fault, "it is no JSON object with a list `keys`");
	}
}

static void there_is_a_bound(void **state)
{
	char *text = calloc(1, 65536);
	size_t n = (size_t)sprintf(text, "{\"keys\":[{" ED25519 "}");

	(void)state;
	for (unsigned i = 0; i < JWT_KEYS_MAX; i++)
		n += (size_t)sprintf(text + n, ",{" ED25519 "}");
	memcpy(text + n, "]}", 3);
	assert_int_equal(read_text(text), 0);
	assert_int_equal(jwt_keys_count(keys), JWT_KEYS_MAX);
	assert_int_equal(left_out, 1);
	free(text);
}

static void no_memory_is_said_and_leaves_nothing(void **state)
{
	unsigned failed = 0;

	(void)state;
	for (unsigned after = 1;; after++) {
		int rc;

		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = read_text("{\"keys\":[{" RSA "},{" P256 "},{" ED25519 "}]}");
		if (seam_failed(SEAM_ALLOC) == failed) {
			assert_int_equal(rc, 0);
			break;
		}
		failed++;
		assert_int_equal(rc, -ENOMEM);
	}
	assert_true(failed > 10);
}

#define set_test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		set_test(a_key_without_alg_is_for_what_its_kind_says),
		set_test(alg_chooses_within_the_kind),
		set_test(names_are_taken_over_and_the_first_counts),
		set_test(what_signs_no_tokens_of_ours_is_left_out),
		set_test(what_is_no_set_is_told),
		set_test(there_is_a_bound),
		set_test(no_memory_is_said_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
