/* No SIGPIPE where a library writes. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/sigpipe.h"

static volatile sig_atomic_t came;

static void count(int signal)
{
	(void)signal;
	came++;
}

static void write_to_nobody(void)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	assert_int_equal(write(ends[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	close(ends[1]);
}

static void the_signal_of_a_write_meanwhile_is_forgotten(void **state)
{
	struct sigpipe held;

	(void)state;
	came = 0;
	sigpipe_hold(&held);
	write_to_nobody();
	errno = EPIPE;
	sigpipe_drop(&held);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(came, 0);
	write_to_nobody();
	assert_int_equal(came, 1);
}

static void one_that_was_pending_before_is_left_to_its_owner(void **state)
{
	struct sigpipe held;
	sigset_t set, before;

	(void)state;
	came = 0;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, &before), 0);
	write_to_nobody();
	sigpipe_hold(&held);
	write_to_nobody();
	sigpipe_drop(&held);
	assert_int_equal(came, 0);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	assert_int_equal(came, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_signal_of_a_write_meanwhile_is_forgotten),
		cmocka_unit_test(one_that_was_pending_before_is_left_to_its_owner),
	};

	signal(SIGPIPE, count);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
