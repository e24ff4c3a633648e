/* Tests of common/base/signals: which signal waits, and which does not. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/signals.h"
#include "tests/unit/dying.h"

static char words[1024];

static void is_asked_by_itself(void)
{
	signals_block();
	if (signals_ask_to_stop())
		_exit(2);
	signals_send_stop();
	if (!signals_ask_to_stop())
		_exit(3);
	signals_wait(NULL, NULL);
}

static void asking_oneself_ends_the_wait(void **state)
{
	(void)state;
	assert_int_equal(dying(is_asked_by_itself, words, sizeof(words)), 0);
}

/* Once before it is armed, and once after that. */
static void is_asked_by_itself_while_it_stops(void)
{
	signals_block();
	signals_send_stop();
	signals_wait(NULL, NULL);
	signals_send_stop();
	signals_arm_second();
	signals_send_stop();
}

static void asking_oneself_is_never_the_second_signal(void **state)
{
	(void)state;
	assert_int_equal(dying(is_asked_by_itself_while_it_stops, words, sizeof(words)), 0);
}

static void is_asked_by_another_while_it_stops(void)
{
	pid_t parent = getpid();

	signals_block();
	signals_arm_second();
	if (fork() == 0)
		_exit(kill(parent, SIGINT));
	for (;;)
		(void)pause();
}

static void the_second_signal_ends_at_once(void **state)
{
	(void)state;
	assert_int_equal(dying(is_asked_by_another_while_it_stops, words, sizeof(words)), -EXIT_FAILURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asking_oneself_ends_the_wait),
		cmocka_unit_test(asking_oneself_is_never_the_second_signal),
		cmocka_unit_test(the_second_signal_ends_at_once),
	};

	return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
