/* Tests of common/redis/redis_words: it says what hiredis does. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <string.h>

#include "common/redis/redis_words.h"
#include "tests/unit/seam.h"

static void says_what_hiredis_does(int n, const char **words, const size_t *bytes)
{
	char *command, *its;
	int length = redis_words(n, words, bytes, &command), its_length = redisFormatCommandArgv(&its, n, words, bytes);

	assert_int_equal(length, its_length);
	assert_memory_equal(command, its, (size_t)length + 1);
	redisFreeCommand(command);
	redisFreeCommand(its);
}

static void words_are_a_command(void **state)
{
	static char long_one[12345];
	const char *words[] = {"ECHO", "", "with a blank", long_one, "\0\r\n$", "a", "b", "c", "d", "e", "f"};
	const size_t bytes[] = {4, 0, 12, sizeof(long_one), 5, 1, 1, 1, 1, 1, 0};

	(void)state;
	memset(long_one, 'l', sizeof(long_one) - 1);
	for (int n = 1; n <= (int)(sizeof(words) / sizeof(words[0])); n++)
		says_what_hiredis_does(n, words, bytes);
	says_what_hiredis_does(4, words, NULL);
}

static void without_memory_there_is_none(void **state)
{
	const char *const word = "PING";
	const size_t too_many = INT_MAX;
	char *command;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(redis_words(1, &word, NULL, &command), -ENOMEM);
	seam_reset();
	assert_int_equal(redis_words(1, &word, &too_many, &command), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_a_command),
		cmocka_unit_test(without_memory_there_is_none),
	};

	return cmocka_run_group_tests_name("redis_words", tests, NULL, NULL);
}
