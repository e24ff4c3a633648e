/* Tests of common/http/http_text. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/http/http_text.h"

static void a_token_has_the_bytes_that_the_rfc_lists(void **state)
{
	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char one = (char)byte;
		/* RFC 9110: what can be seen, less the delimiters. */
		bool is = byte > ' ' && byte < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", byte) == NULL;

		assert_int_equal(http_is_token_byte(one), is);
		assert_int_equal(http_is_token(&one, 1), is);
	}
	assert_false(http_is_token("", 0));
	assert_false(http_is_token("a\0b", 3));
	assert_true(http_is_token("X-Api-Key:", 9));
}

static void text_has_nothing_that_is_not_to_be_seen(void **state)
{
	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char one = (char)byte;

		assert_int_equal(http_is_text(&one, 1, false), byte > ' ' && byte != 0x7f);
		assert_int_equal(http_is_text(&one, 1, true), (byte >= ' ' || byte == '\t') && byte != 0x7f);
	}
	assert_true(http_is_text("", 0, false));
}

static void blanks_around_it_are_taken_off(void **state)
{
	static const char *const texts[][2] = {{"", ""}, {" \t ", ""}, {"a", "a"}, {"\t a b \t", "a b"}};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *at = texts[i][0];
		size_t n = strlen(at);

		http_trim(&at, &n);
		assert_int_equal(n, strlen(texts[i][1]));
		assert_memory_equal(at, texts[i][1], n);
	}
}

static void a_word_is_found_in_a_list_and_not_in_another_word(void **state)
{
	static const char *const with[] = {"close", "CLOSE", "a,close", "close,b", "a , \tclose\t,b", ",,close"};
	static const char *const without[] = {"", ",", "clos", "closed", "a close", "close a", "a,clo,se"};

	(void)state;
	for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++)
		assert_true(http_lists(with[i], strlen(with[i]), "close"));
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		assert_false(http_lists(without[i], strlen(without[i]), "close"));
	assert_false(http_lists("close", 4, "close"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_has_the_bytes_that_the_rfc_lists),
		cmocka_unit_test(text_has_nothing_that_is_not_to_be_seen),
		cmocka_unit_test(blanks_around_it_are_taken_off),
		cmocka_unit_test(a_word_is_found_in_a_list_and_not_in_another_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
