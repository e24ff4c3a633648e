/* Tests of common/base/err. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/err.h"

static void each_code_of_ours_has_words_of_its_own(void **state)
{
	(void)state;
	for (int code = ERR_EOF; code <= ERR_CONFIG; code++) {
		/* Those without would get what strerror says of a number that it does not know. */
		assert_null(strstr(err_text(code), "Unknown error"));
		for (int other = ERR_EOF; other < code; other++)
			assert_string_not_equal(err_text(code), err_text(other));
	}
}

static void ours_lie_above_those_of_the_kernel(void **state)
{
	(void)state;
	assert_true(ERR_EOF > 4095);
}

static void sign_does_not_matter(void **state)
{
	(void)state;
	assert_string_equal(err_text(-ERR_PACKET_HEADER), "wrong header length");
	assert_string_equal(err_text(ERR_PACKET_HEADER), "wrong header length");
	assert_string_equal(err_text(-ENOMEM), "Cannot allocate memory");
	assert_string_equal(err_text(ENOMEM), "Cannot allocate memory");
	assert_string_equal(err_text(0), "success");
}

static void unknown_code_is_told_by_its_number(void **state)
{
	(void)state;
	assert_non_null(strstr(err_text(-4999), "4999"));
}

static void *ask_for_another(void *arg)
{
	(void)err_text(4998);
	return arg;
}

static void words_are_not_overwritten_by_another_thread(void **state)
{
	const char *words = err_text(4999);
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, ask_for_another, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_non_null(strstr(words, "4999"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_of_ours_has_words_of_its_own),
		cmocka_unit_test(ours_lie_above_those_of_the_kernel),
		cmocka_unit_test(sign_does_not_matter),
		cmocka_unit_test(unknown_code_is_told_by_its_number),
		cmocka_unit_test(words_are_not_overwritten_by_another_thread),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
