/* Tests of common/base/secret. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/secret.h"

static char file[] = "/tmp/test_secret.XXXXXX";
static struct secret secret = SECRET_STATIC("section.key_file");

static void put(const char *text)
{
	FILE *out = fopen(file, "we");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void it_is(const char *text)
{
	char now[SECRET_BYTES];

	assert_true(secret_copy(&secret, now));
	assert_string_equal(now, text);
}

static int set_up(void **state)
{
	int fd = mkstemp(file);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(file);
	memcpy(file + strlen(file) - 6, "XXXXXX", 6);
	secret = (struct secret)SECRET_STATIC("section.key_file");
	return 0;
}

static void without_a_file_there_is_none(void **state)
{
	char now[SECRET_BYTES];

	(void)state;
	assert_int_equal(secret_start(&secret, ""), 0);
	assert_false(secret_copy(&secret, now));
	assert_null(secret_reload(&secret).self);
}

static void a_reload_changes_it_at_once_or_not_at_all(void **state)
{
	struct reload_part part;

	(void)state;
	put("first \n");
	assert_int_equal(secret_start(&secret, file), 0);
	it_is("first ");
	part = secret_reload(&secret);
	put("second");
	assert_int_equal(part.read(part.self), 0);
	it_is("first ");
	part.settle(part.self, false);
	it_is("first ");
	assert_int_equal(part.read(part.self), 0);
	part.settle(part.self, true);
	it_is("second");
	put("");
	assert_int_equal(part.read(part.self), -ERR_CONFIG);
	it_is("second");
}

static void a_file_has_one_line_of_up_to_512_bytes(void **state)
{
	char longest[SECRET_BYTES + 1];

	(void)state;
	put("\r\n");
	assert_int_equal(secret_start(&secret, file), -ERR_CONFIG);
	put("two\nlines\n");
	assert_int_equal(secret_start(&secret, file), -ERR_CONFIG);
	memset(longest, 'x', sizeof(longest));
	longest[SECRET_BYTES] = '\0';
	put(longest);
	assert_int_equal(secret_start(&secret, file), -ERR_CONFIG);
	longest[SECRET_BYTES - 1] = '\n';
	put(longest);
	assert_int_equal(secret_start(&secret, file), 0);
	longest[SECRET_BYTES - 1] = '\0';
	it_is(longest);
	assert_int_equal(secret_start(&secret, "/nowhere"), -ENOENT);
	assert_int_equal(secret_start(&secret, "/tmp"), -EISDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_a_file_there_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reload_changes_it_at_once_or_not_at_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_has_one_line_of_up_to_512_bytes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
