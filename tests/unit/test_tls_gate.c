/* Tests of common/tls/tls_gate. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "common/base/clock.h"
#include "common/base/cores.h"
#include "common/base/counters.h"
#include "common/tls/tls_gate.h"
#include "tests/unit/until.h"

static struct tls_gate gate;
static unsigned places;

static int set_up(void **state)
{
	(void)state;
	tls_gate_init(&gate);
	places = gate.places;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_gate_fini(&gate);
	return 0;
}

static void fill(void)
{
	for (unsigned i = 0; i < places; i++)
		assert_int_equal(tls_gate_enter(&gate, 0), 0);
}

static void half_of_the_cores_are_inside_at_a_time(void **state)
{
	int64_t waited = counters_read(COUNT_TLS_WAITED);

	(void)state;
	assert_int_equal(places, cores() > 1 ? cores() / 2 : 1);
	fill();
	assert_int_equal(counters_read(COUNT_TLS_WAITED), waited);
	assert_int_equal(tls_gate_enter(&gate, clock_now_ns() + CLOCK_MS), -ETIME);
	assert_int_equal(counters_read(COUNT_TLS_WAITED), waited + 1);
	tls_gate_leave(&gate);
	assert_int_equal(tls_gate_enter(&gate, 0), 0);
}

static void *enter(void *arg)
{
	*(int *)arg = tls_gate_enter(&gate, clock_now_ns() + 60 * CLOCK_SEC);
	return NULL;
}

static unsigned how_many_wait(void)
{
	unsigned n;

	lock_take(&gate.lock);
	n = gate.waiting;
	lock_drop(&gate.lock);
	return n;
}

static void who_leaves_lets_one_in(void **state)
{
	pthread_t threads[3];
	int rcs[3];

	(void)state;
	fill();
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, enter, &rcs[i]), 0);
	until(how_many_wait() == 3);
	for (unsigned i = 0; i < 3; i++) {
		tls_gate_leave(&gate);
		until(how_many_wait() == 2 - i);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(rcs[i], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(half_of_the_cores_are_inside_at_a_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_leaves_lets_one_in, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
