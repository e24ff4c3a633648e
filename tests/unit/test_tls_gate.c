/* Tests of common/tls/tls_gate. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

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

/* ---- guests, which wait without a thread ---- */

#define GUESTS 4

static struct {
	struct parked parked;
	struct tls_guest guest;
	atomic_uint resumed;
} guests[GUESTS];

static struct park *lot;

static void resume(struct parked *p)
{
	for (unsigned i = 0; i < GUESTS; i++)
		if (p == &guests[i].parked)
			atomic_fetch_add(&guests[i].resumed, 1);
}

static int set_up_guests(void **state)
{
	const struct park_options opt = {"waiter", THREAD_CONNECTION, 2, 4, resume, 0};

	memset(guests, 0, sizeof(guests));
	return park_start(&opt, &lot) < 0 ? -1 : set_up(state);
}

static int tear_down_guests(void **state)
{
	park_stop(&lot);
	until(thread_reap() == 0);
	thread_fini();
	return tear_down(state);
}

static int try(unsigned i)
{
	return tls_gate_try(&gate, &guests[i].guest);
}

static void park_guest(unsigned i)
{
	tls_gate_park(&gate, &guests[i].guest, lot, &guests[i].parked);
}

static unsigned resumed(unsigned i)
{
	return atomic_load(&guests[i].resumed);
}

static void guests_go_in_one_after_another_as_they_came(void **state)
{
	(void)state;
	fill();
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(try(i), -EAGAIN);
		park_guest(i);
	}
	for (unsigned i = 0; i < 3; i++) {
		tls_gate_leave(&gate);
		until(resumed(i) == 1);
		assert_int_equal(try(i), 0);
	}
	assert_int_equal(gate.places, 0);
	for (unsigned i = 0; i < 3; i++)
		tls_gate_forget(&gate, &guests[i].guest);
	assert_int_equal(gate.places, 3);
	assert_int_equal(resumed(3), 0);
}

static void a_place_that_is_free_before_it_parks_is_its(void **state)
{
	(void)state;
	fill();
	assert_int_equal(try(0), -EAGAIN);
	tls_gate_leave(&gate);
	park_guest(0);
	until(resumed(0) == 1);
	assert_int_equal(try(0), 0);
	tls_gate_forget(&gate, &guests[0].guest);
}

static void who_is_sent_away_is_resumed_and_gets_no_place(void **state)
{
	(void)state;
	fill();
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(try(i), -EAGAIN);
		park_guest(i);
	}
	tls_gate_send_away(&gate, &guests[0].guest);
	until(resumed(0) == 1);
	assert_int_equal(try(0), -EPIPE);
	tls_gate_leave(&gate);
	until(resumed(1) == 1);
	/* One that is sent away between its look and its parking does not sleep. */
	assert_int_equal(try(2), -EAGAIN);
	tls_gate_send_away(&gate, &guests[2].guest);
	park_guest(2);
	until(resumed(2) == 1);
	assert_int_equal(try(2), -EPIPE);
	/* One with a place may use it. */
	tls_gate_send_away(&gate, &guests[1].guest);
	assert_int_equal(try(1), 0);
	tls_gate_forget(&gate, &guests[1].guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(half_of_the_cores_are_inside_at_a_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_leaves_lets_one_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(guests_go_in_one_after_another_as_they_came, set_up_guests,
						tear_down_guests),
		cmocka_unit_test_setup_teardown(a_place_that_is_free_before_it_parks_is_its, set_up_guests,
						tear_down_guests),
		cmocka_unit_test_setup_teardown(who_is_sent_away_is_resumed_and_gets_no_place, set_up_guests,
						tear_down_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
