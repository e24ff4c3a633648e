/* Tests of comet/admission. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "comet/admission.h"
#include "common/counters.h"
#include "common/log.h"
#include "tests/unit/seam.h"

static struct admission a;

static int set_up(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

static void assert_load(int64_t connections, int64_t addresses)
{
	int64_t n, from;

	admission_load(&a, &n, &from);
	assert_int_equal(n, connections);
	assert_int_equal(from, addresses);
}

static void whoever_comes_in_is_counted_until_it_leaves(void **state)
{
	int64_t before = counters_read(COUNT_CONNECTIONS);

	(void)state;
	admission_init(&a, 10, 0);
	assert_int_equal(admission_enter(&a, "192.0.2.1"), CLOSE_NONE);
	assert_int_equal(admission_enter(&a, "192.0.2.1"), CLOSE_NONE);
	assert_int_equal(admission_enter(&a, "::1"), CLOSE_NONE);
	assert_load(3, 2);
	assert_int_equal(counters_read(COUNT_CONNECTIONS), before + 3);
	admission_leave(&a, "192.0.2.1");
	assert_load(2, 2);
	admission_leave(&a, "192.0.2.1");
	assert_load(1, 1);
	admission_leave(&a, "::1");
	assert_load(0, 0);
	assert_int_equal(counters_read(COUNT_CONNECTIONS), before);
	admission_fini(&a);
}

static void no_more_come_in_than_there_is_room_for(void **state)
{
	int64_t before = counters_read_by(COUNT_REFUSED, CLOSE_CONNECTIONS);

	(void)state;
	admission_init(&a, 2, 0);
	assert_int_equal(admission_enter(&a, "1"), CLOSE_NONE);
	assert_int_equal(admission_enter(&a, "2"), CLOSE_NONE);
	assert_int_equal(admission_enter(&a, "3"), CLOSE_CONNECTIONS);
	assert_load(2, 2);
	assert_int_equal(counters_read_by(COUNT_REFUSED, CLOSE_CONNECTIONS), before + 1);
	admission_leave(&a, "1");
	assert_int_equal(admission_enter(&a, "3"), CLOSE_NONE);
	admission_leave(&a, "2");
	admission_leave(&a, "3");
	admission_fini(&a);
}

static void no_more_come_in_from_one_address_than_may(void **state)
{
	int64_t before = counters_read_by(COUNT_REFUSED, CLOSE_PER_IP);

	(void)state;
	admission_init(&a, 10, 2);
	assert_int_equal(admission_enter(&a, "1"), CLOSE_NONE);
	assert_int_equal(admission_enter(&a, "1"), CLOSE_NONE);
	assert_int_equal(admission_enter(&a, "1"), CLOSE_PER_IP);
	assert_int_equal(admission_enter(&a, "2"), CLOSE_NONE);
	assert_int_equal(counters_read_by(COUNT_REFUSED, CLOSE_PER_IP), before + 1);
	admission_leave(&a, "1");
	assert_int_equal(admission_enter(&a, "1"), CLOSE_NONE);
	admission_leave(&a, "1");
	admission_leave(&a, "1");
	admission_leave(&a, "2");
	assert_load(0, 0);
	admission_fini(&a);
}

static void nobody_comes_in_once_it_drains(void **state)
{
	int64_t before = counters_read_by(COUNT_REFUSED, CLOSE_DRAINING);

	(void)state;
	admission_init(&a, 10, 0);
	assert_int_equal(admission_enter(&a, "1"), CLOSE_NONE);
	admission_drain(&a);
	assert_int_equal(admission_enter(&a, "1"), CLOSE_DRAINING);
	assert_int_equal(counters_read_by(COUNT_REFUSED, CLOSE_DRAINING), before + 1);
	admission_leave(&a, "1");
	admission_fini(&a);
}

static void without_memory_to_count_it_nobody_comes_in(void **state)
{
	(void)state;
	admission_init(&a, 10, 0);
	for (unsigned after = 0; after < 2; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(admission_enter(&a, "1"), CLOSE_NO_MEMORY);
		assert_load(0, 0);
	}
	seam_reset();
	/* Counting another from an address that is there, and leaving, need no memory. */
	assert_int_equal(admission_enter(&a, "1"), CLOSE_NONE);
	seam_fail(SEAM_ALLOC, 0, 100, ENOMEM);
	assert_int_equal(admission_enter(&a, "1"), CLOSE_NONE);
	admission_leave(&a, "1");
	admission_leave(&a, "1");
	admission_fini(&a);
}

static void *enter_and_leave(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		enum close_reason why = admission_enter(&a, arg);

		if (why == CLOSE_NONE)
			admission_leave(&a, arg);
		else if (why != CLOSE_CONNECTIONS)
			abort();
	}
	return NULL;
}

static void threads_may_enter_and_leave_at_once(void **state)
{
	static char addresses[3][2] = {"1", "1", "2"};
	pthread_t threads[3];

	(void)state;
	admission_init(&a, 2, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, enter_and_leave, addresses[i]), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_load(0, 0);
	admission_fini(&a);
}

static void the_tightest_limit_of_the_machine_is_named(void **state)
{
	struct rlimit before, few;
	char text[64];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 300;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(admission_machine_max(text, sizeof(text)), 200);
	assert_string_equal(text, "RLIMIT_NOFILE=300");
	few.rlim_cur = 50;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(admission_machine_max(text, sizeof(text)), 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

#define admission_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		admission_test(whoever_comes_in_is_counted_until_it_leaves),
		admission_test(no_more_come_in_than_there_is_room_for),
		admission_test(no_more_come_in_from_one_address_than_may),
		admission_test(nobody_comes_in_once_it_drains),
		admission_test(without_memory_to_count_it_nobody_comes_in),
		admission_test(threads_may_enter_and_leave_at_once),
		admission_test(the_tightest_limit_of_the_machine_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
