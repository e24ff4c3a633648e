/* Messages as lines, in comet-cli sub. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/printer.h"
#include "tests/unit/seam.h"

static char *line;
static size_t line_bytes;

static int forget(void **state)
{
	(void)state;
	seam_reset();
	free(line);
	line = NULL;
	return 0;
}

static struct packet packet_of(const char *body, size_t n)
{
	return (struct packet){.ver = 1, .op = 1000, .seq = 7, .body = (uint8_t *)body, .body_bytes = (uint32_t)n};
}

static void assert_text(const char *body, size_t n, const char *expected)
{
	struct packet p = packet_of(body, n);
	FILE *out = open_memstream(&line, &line_bytes);

	printer_text(out, &p, NULL, NULL);
	fclose(out);
	assert_string_equal(line, expected);
	free(line);
	line = NULL;
}
#define ASSERT_TEXT(body, expected) assert_text(body, sizeof(body) - 1, expected)

static int print_json(const char *body, size_t n)
{
	struct packet p = packet_of(body, n);
	FILE *out = open_memstream(&line, &line_bytes);
	int rc = printer_json(out, &p, NULL, NULL);

	fclose(out);
	return rc;
}
#define PRINT_JSON(body) print_json(body, sizeof(body) - 1)

static void text_is_shown_as_it_is(void **state)
{
	(void)state;
	ASSERT_TEXT("", "1000 \n");
	ASSERT_TEXT("{\"a\":\"b\\n\"}", "1000 {\"a\":\"b\\n\"}\n");
	ASSERT_TEXT("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "1000 \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n");
}

static void control_characters_are_escaped(void **state)
{
	(void)state;
	ASSERT_TEXT("a\nb\rc\td", "1000 a\\nb\\rc\\td\n");
	ASSERT_TEXT("\0\x1b\x7f", "1000 \\x00\\x1b\\x7f\n");
	ASSERT_TEXT("\xc2\x80\xc2\x9f\xc2\xa0", "1000 \\xc2\\x80\\xc2\\x9f\xc2\xa0\n");
}

static void what_is_not_utf8_is_escaped_byte_by_byte(void **state)
{
	(void)state;
	ASSERT_TEXT("\xff", "1000 \\xff\n");
	ASSERT_TEXT("\xc3", "1000 \\xc3\n");          /* cut */
	ASSERT_TEXT("\xe2\x82", "1000 \\xe2\\x82\n"); /* cut */
	ASSERT_TEXT("\xc3(", "1000 \\xc3(\n");        /* no continuation */
	ASSERT_TEXT("\xc0\xaf", "1000 \\xc0\\xaf\n"); /* overlong */
	ASSERT_TEXT("\xe0\x9f\xbf", "1000 \\xe0\\x9f\\xbf\n");
	ASSERT_TEXT("\xf0\x8f\xbf\xbf", "1000 \\xf0\\x8f\\xbf\\xbf\n");
	ASSERT_TEXT("\xed\xa0\x80", "1000 \\xed\\xa0\\x80\n");          /* surrogate */
	ASSERT_TEXT("\xf4\x90\x80\x80", "1000 \\xf4\\x90\\x80\\x80\n"); /* above U+10FFFF */
	ASSERT_TEXT("\xf5\x80\x80\x80", "1000 \\xf5\\x80\\x80\\x80\n");
}

static void json_of_text_holds_the_text(void **state)
{
	(void)state;
	assert_int_equal(PRINT_JSON("a\"\n\0\xc3\xa9"), 0);
	assert_string_equal(line, "{\"op\":1000,\"ver\":1,\"seq\":7,\"body\":\"a\\\"\\n\\u0000\xc3\xa9\"}\n");
}

static void json_escapes_what_a_terminal_may_act_on(void **state)
{
	(void)state;
	assert_int_equal(PRINT_JSON("a\xc2\x9b"
				    "31m\x7f\xc2\x80\xc2\xa0\xc3\xa9\xc2\x9f"),
			 0);
	assert_string_equal(
		line,
		"{\"op\":1000,\"ver\":1,\"seq\":7,\"body\":\"a\\u009b31m\\u007f\\u0080\xc2\xa0\xc3\xa9\\u009f\"}\n");
}

static void json_of_other_bytes_holds_base64(void **state)
{
	static const struct {
		const char *body;
		size_t n;
		const char *base64;
	} cases[] = {{"\xff", 1, "/w=="},
		     {"\xff\x00", 2, "/wA="},
		     {"\xff\x00\x01", 3, "/wAB"},
		     {"\xff\xfe\xfd\xfc", 4, "//79/A=="}};
	char expected[96];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(print_json(cases[i].body, cases[i].n), 0);
		snprintf(expected, sizeof(expected), "{\"op\":1000,\"ver\":1,\"seq\":7,\"body_base64\":\"%s\"}\n",
			 cases[i].base64);
		assert_string_equal(line, expected);
		free(line);
		line = NULL;
	}
}

static void a_format_says_what_is_printed_where(void **state)
{
	const struct printer_style style = {.format = "%r#%n (%o) %b %%"};
	const struct printer_place room = {"chat://1", 42};
	struct packet p = packet_of("a\nb", 3);
	FILE *out = open_memstream(&line, &line_bytes);

	(void)state;
	assert_int_equal(printer_print(out, &p, &room, &style), 0);
	assert_int_equal(printer_print(out, &p, NULL, &style), 0);
	fclose(out);
	assert_string_equal(line, "chat://1#42 (1000) a\\nb %\n-#- (1000) a\\nb %\n");
	assert_true(printer_format_is_good("") && printer_format_is_good("%%t%t"));
	assert_false(printer_format_is_good("%") || printer_format_is_good("%b %x") || printer_format_is_good("%b%"));
}

static void without_memory_nothing_is_written(void **state)
{
	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, 0);
	assert_int_equal(PRINT_JSON("\xff"), -ENOMEM);
	assert_int_equal(line_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(text_is_shown_as_it_is, forget),
		cmocka_unit_test_teardown(control_characters_are_escaped, forget),
		cmocka_unit_test_teardown(what_is_not_utf8_is_escaped_byte_by_byte, forget),
		cmocka_unit_test_teardown(json_of_text_holds_the_text, forget),
		cmocka_unit_test_teardown(json_escapes_what_a_terminal_may_act_on, forget),
		cmocka_unit_test_teardown(json_of_other_bytes_holds_base64, forget),
		cmocka_unit_test_teardown(a_format_says_what_is_printed_where, forget),
		cmocka_unit_test_teardown(without_memory_nothing_is_written, forget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
