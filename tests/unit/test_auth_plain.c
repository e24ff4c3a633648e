/* Tests of logic/auth_plain: which tokens it reads, and that it reads them as the reader of all JSON does. That one is asked by a
 * member that no token has, and that it ignores. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logic/auth_open.h"
#include "logic/auth_plain.h"

#define TOKEN_BYTES 512

static const char *const plain[] = {
	"{\"mid\":123,\"key\":\"k\",\"room_id\":\"live://1\",\"platform\":\"web\",\"accepts\":[1000,-1,1000]}",
	"{\"mid\":999999999999999999}",
	"{\"mid\":-5,\"user\":\"Ann\"}",
	"{\"mid\":-0,\"user\":\"Ann\"}",
	"{\"user\":\"auth0|5f\",\"mid\":0}",
	"{\"user\":\"123\"}",
	"{\"user\":\"007\",\"accepts\":[]}",
	"{\"mid\":7,\"user\":\"\"}",
	" {\t\"accepts\" : [ 0 , 999999999 , -999999999 ] ,\r\n\"key\":\"\" } \n",
	"{\"platform\":\"a b/c:{[,]}'~\"}",
};

static const char *const others[] = {
	"",
	"1",
	"{}",
	"{\"Mid\":1}",
	"{\"mid\":1,\"x\":2}",
	"{\"mid\":1,\"mid\":1}",
	"{\"mid\":1000000000000000000}",
	"{\"mid\":99999999999999999999}",
	"{\"mid\":1.0}",
	"{\"mid\":1e3}",
	"{\"mid\":01}",
	"{\"mid\":-}",
	"{\"mid\":- 1}",
	"{\"mid\":null}",
	"{\"mid\":}",
	"{\"mid\":1,}",
	"{\"mid\":1",
	"{\"mid\":1}x",
	"{\"mid\" 1}",
	"{mid:1}",
	"{\"user\":\"\"}",
	"{\"user\":7}",
	"{\"key\":\"a\\n\"}",
	"{\"key\":\"\xe4\xbd\xa0\"}",
	"{\"key\":\"\x7f\"}",
	"{\"key\":\"\t\"}",
	"{\"key\":\"k",
	"{\"accepts\":[1,]}",
	"{\"accepts\":[,1]}",
	"{\"accepts\":[1 2]}",
	"{\"accepts\":[1000000000]}",
	"{\"accepts\":[\"1\"]}",
	"{\"accepts\":[[1]]}",
	"{\"accepts\":[1}",
	"{\"accepts\":[",
};

static bool is_plain(const char *token, size_t n)
{
	/* From a buffer of exactly that size, so that the sanitizer sees a read beyond it. */
	uint8_t *exact = malloc(n + (n == 0));
	struct auth_identity who = {0};
	bool yes;

	assert_non_null(exact);
	memcpy(exact, token, n);
	assert_int_equal(auth_plain_read(&(struct auth_request){.token = exact, .token_bytes = n}, &who, &yes), 0);
	assert_true(yes == (who.dialect == DIALECT_V2 && who.key != NULL));
	auth_identity_fini(&who);
	free(exact);
	return yes;
}

static void tokens_of_most_clients_are_plain(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (!is_plain(plain[i], strlen(plain[i])))
			fail_msg("%s", plain[i]);
}

static void all_others_are_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (is_plain(others[i], strlen(others[i])))
			fail_msg("%s", others[i]);
	/* With the zero byte behind it. */
	assert_false(is_plain("{\"mid\":1}", sizeof("{\"mid\":1}")));
}

static void so_many_operations_are_plain_and_no_more(void **state)
{
	char token[8 * WIRE_ACCEPTS_MAX] = "{\"accepts\":[0";

	(void)state;
	for (unsigned i = 1; i < WIRE_ACCEPTS_MAX; i++)
		(void)snprintf(token + strlen(token), 8, ",%u", i);
	(void)snprintf(token + strlen(token), 8, "]}");
	assert_true(is_plain(token, strlen(token)));
	(void)snprintf(token + strlen(token) - 2, 8, ",1]}");
	assert_false(is_plain(token, strlen(token)));
}

static int read_all(const char *token, size_t n, struct auth_identity *who)
{
	*who = (struct auth_identity){0};
	return auth_open_check(
		&(struct auth_request){.token = (const uint8_t *)token, .token_bytes = n, .peer = "", .server = ""},
		who);
}

static void must_be_same_text(const char *a, const char *b)
{
	assert_true((a == NULL) == (b == NULL));
	if (a != NULL)
		assert_string_equal(a, b);
}

/* However this token is read: with a member that is not plain in front of the others it is the same. */
static void must_read_alike(const char *token, size_t n)
{
	static const char strange[] = "{\"no member of ours\":{},";
	char other[TOKEN_BYTES + sizeof(strange)];
	struct auth_identity a, b;
	int rc = read_all(token, n, &a);

	memcpy(other, strange, sizeof(strange) - 1);
	memcpy(other + sizeof(strange) - 1, token + 1, n - 1);
	assert_false(is_plain(other, sizeof(strange) - 2 + n));
	assert_int_equal(rc, read_all(other, sizeof(strange) - 2 + n, &b));
	assert_string_equal(a.refusal, b.refusal);
	assert_int_equal(a.cause, b.cause);
	if (rc == 0) {
		assert_int_equal(a.dialect, b.dialect);
		assert_int_equal(a.mid, b.mid);
		must_be_same_text(a.name, b.name);
		must_be_same_text(a.key, b.key);
		must_be_same_text(a.room, b.room);
		must_be_same_text(a.platform, b.platform);
		assert_int_equal(a.n_accepts, b.n_accepts);
		if (a.n_accepts > 0)
			assert_memory_equal(a.accepts, b.accepts, a.n_accepts * sizeof(*a.accepts));
	}
	auth_identity_fini(&a);
	auth_identity_fini(&b);
}

static void what_is_plain_is_read_as_all_json_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (plain[i][0] == '{')
			must_read_alike(plain[i], strlen(plain[i]));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (others[i][0] == '{' && others[i][1] != '}')
			must_read_alike(others[i], strlen(others[i]));
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
	*seed = *seed * 6364136223846793005U + 1442695040888963407U;
	return (*seed >> 33) % below;
}

/* One byte becomes another, goes, or comes twice. */
static void change(char *token, size_t *n, uint64_t *seed)
{
	static const char bytes[] = "{}[]\",:\\ -0123456789.eumidkynl\t\x01\x7f\xc3\xa4";
	size_t at = 1 + draw(seed, *n - 1);

	switch (draw(seed, 3)) {
	case 0:
		token[at] = bytes[draw(seed, sizeof(bytes) - 1)];
		break;
	case 1:
		memmove(token + at, token + at + 1, *n - at - 1);
		*n -= *n > 2;
		break;
	default:
		if (*n == TOKEN_BYTES)
			break;
		memmove(token + at + 1, token + at, *n - at);
		(*n)++;
	}
}

static void tokens_with_changes_are_read_alike_too(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		const char *from = plain[draw(&seed, sizeof(plain) / sizeof(plain[0]))];
		char token[TOKEN_BYTES];
		size_t n = strlen(from), next = 1;

		if (from[0] != '{')
			continue;
		memcpy(token, from, n);
		for (uint64_t changes = 1 + draw(&seed, 3); changes > 0; changes--)
			change(token, &n, &seed);
		while (next < n && strchr(" \t\r\n", token[next]) != NULL)
			next++;
		if (next < n && token[next] != '}') /* nobody of version 1, or no JSON */
			must_read_alike(token, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_of_most_clients_are_plain),
		cmocka_unit_test(all_others_are_not),
		cmocka_unit_test(so_many_operations_are_plain_and_no_more),
		cmocka_unit_test(what_is_plain_is_read_as_all_json_is),
		cmocka_unit_test(tokens_with_changes_are_read_alike_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
