/* Tests of logic/auth_calls: who may call, with which handle, and how few while names are not found. The clock stands, so that
 * a wait is over at once: its deadline has long passed on the machine's clock. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "logic/auth_calls.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define MOST       3
#define TIMEOUT_NS (1000 * CLOCK_MS)

static struct auth_calls calls;
static int freed;

static void count_freed(void *handle)
{
	freed += handle != NULL;
}

static int set_up(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_MS, 0);
	freed = 0;
	return auth_calls_init(&calls, MOST, TIMEOUT_NS);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	auth_calls_fini(&calls, count_freed);
	return 0;
}

/* Of somebody who has so much of the timeout left. */
static const char *borrow(int64_t left_ns, void **handle)
{
	return auth_calls_borrow(&calls, 0, handle, clock_now_ns() + left_ns);
}

static void *borrow_new(void)
{
	static char handles[16];
	static unsigned n;
	void *handle;

	assert_null(borrow(TIMEOUT_NS, &handle));
	assert_null(handle);
	return &handles[n++ % sizeof(handles)];
}

/* A call that ends while its name is looked up. */
static void lose(void *handle)
{
	auth_calls_lost(&calls);
	auth_calls_give_back(&calls, 0, handle, false);
}

static void as_many_as_may_call_and_no_more(void **state)
{
	void *handles[MOST], *none;

	(void)state;
	for (int i = 0; i < MOST; i++)
		handles[i] = borrow_new();
	assert_string_equal(borrow(TIMEOUT_NS, &none), "all of auth.concurrency calls are under way");
	auth_calls_give_back(&calls, 0, handles[0], true);
	assert_null(borrow(CLOCK_MS, &none));
	assert_ptr_equal(none, handles[0]);
	for (int i = 0; i < MOST; i++)
		auth_calls_give_back(&calls, 0, handles[i], true);
}

static void a_handle_that_could_not_be_made_takes_no_place(void **state)
{
	void *handle;

	(void)state;
	for (int i = 0; i < MOST + 1; i++) {
		assert_null(borrow(TIMEOUT_NS, &handle));
		assert_null(handle);
		auth_calls_give_back(&calls, 0, NULL, false);
	}
}

static void connections_are_used_before_handles_without_one(void **state)
{
	void *warm, *warmer, *cold, *handle;

	(void)state;
	warm = borrow_new();
	warmer = borrow_new();
	cold = borrow_new();
	auth_calls_give_back(&calls, 0, warm, true);
	auth_calls_give_back(&calls, 0, warmer, true);
	auth_calls_give_back(&calls, 0, cold, false);
	assert_null(borrow(TIMEOUT_NS, &handle));
	assert_ptr_equal(handle, warmer);
	assert_null(borrow(TIMEOUT_NS, &handle));
	assert_ptr_equal(handle, warm);
	assert_null(borrow(TIMEOUT_NS, &handle));
	assert_ptr_equal(handle, cold);
	auth_calls_give_back(&calls, 0, warm, true);
	auth_calls_give_back(&calls, 0, warmer, true);
	auth_calls_give_back(&calls, 0, cold, true);
	auth_calls_fini(&calls, count_freed);
	assert_int_equal(freed, 3);
	assert_int_equal(auth_calls_init(&calls, MOST, TIMEOUT_NS), 0);
}

static void each_lookup_that_is_lost_takes_a_place_and_one_is_left(void **state)
{
	void *handles[MOST], *handle, *none;

	(void)state;
	for (int i = 0; i < MOST; i++)
		handles[i] = borrow_new();
	lose(handles[0]);
	assert_string_equal(borrow(TIMEOUT_NS, &none), "no name server answers for auth.url");
	lose(handles[1]);
	assert_non_null(borrow(TIMEOUT_NS, &none));
	lose(handles[2]);
	for (int i = 0; i < 10; i++) {
		assert_null(borrow(TIMEOUT_NS, &handle));
		assert_non_null(borrow(TIMEOUT_NS, &none));
		lose(handle);
	}
}

static void who_has_less_than_half_of_the_time_left_does_not_try_a_lost_name(void **state)
{
	void *handle = borrow_new();

	(void)state;
	lose(handle);
	assert_string_equal(borrow(TIMEOUT_NS / 2 - 1, &handle), "no name server answers for auth.url");
	assert_null(borrow(TIMEOUT_NS / 2, &handle));
	auth_calls_give_back(&calls, 0, handle, false);
}

static void over_a_connection_anybody_may_call_though_names_are_lost(void **state)
{
	void *warm = borrow_new(), *first = borrow_new(), *second = borrow_new(), *handle;

	(void)state;
	lose(first);
	lose(second);
	auth_calls_lost(&calls);
	assert_non_null(borrow(1, &handle));
	auth_calls_give_back(&calls, 0, warm, true);
	assert_null(borrow(1, &handle));
	assert_ptr_equal(handle, warm);
	auth_calls_give_back(&calls, 0, warm, false);
	assert_non_null(borrow(1, &handle));
}

static void a_name_that_is_found_gives_all_places_back(void **state)
{
	void *handles[MOST];

	(void)state;
	handles[0] = borrow_new();
	handles[1] = borrow_new();
	lose(handles[0]);
	lose(handles[1]);
	auth_calls_found(&calls);
	for (int i = 0; i < 2; i++) {
		assert_null(borrow(1, &handles[i]));
		assert_non_null(handles[i]);
	}
	handles[2] = borrow_new();
	for (int i = 0; i < MOST; i++)
		auth_calls_give_back(&calls, 0, handles[i], true);
}

static void places_come_back_when_the_lookups_must_be_over(void **state)
{
	void *handle = borrow_new(), *none;

	(void)state;
	auth_calls_lost(&calls);
	auth_calls_lost(&calls);
	seam_clock_advance(30 * CLOCK_SEC);
	assert_non_null(borrow(TIMEOUT_NS, &none));
	seam_clock_advance(1);
	assert_null(borrow(1, &none));
	assert_null(none);
	auth_calls_give_back(&calls, 0, none, false);
	auth_calls_give_back(&calls, 0, handle, true);
}

/* ---- networks ---- */

struct caller {
	pthread_t thread;
	uint64_t network;
	atomic_int state; /* 0: waits, 1: has a call, 2: has none */
	void *handle;
};

static void *wait_for_a_call(void *arg)
{
	struct caller *caller = arg;

	atomic_store(&caller->state,
		     auth_calls_borrow(&calls, caller->network, &caller->handle, INT64_MAX) == NULL ? 1 : 2);
	return NULL;
}

static void call_in(struct caller *caller, uint64_t network)
{
	unsigned before, now;

	lock_take(&calls.lock);
	before = calls.n_waiting;
	lock_drop(&calls.lock);
	caller->network = network;
	assert_int_equal(pthread_create(&caller->thread, NULL, wait_for_a_call, caller), 0);
	do {
		lock_take(&calls.lock);
		now = calls.n_waiting;
		lock_drop(&calls.lock);
	} while (now == before);
}

static void end_call(uint64_t network, void *handle)
{
	auth_calls_give_back(&calls, network, handle, true);
}

static void while_others_wait_a_network_gets_a_third(void **state)
{
	static char made[4];
	struct caller junk[3] = {0}, good[2] = {0};

	(void)state;
	/* Nobody else wants one: it may have all. */
	for (unsigned i = 0; i < MOST; i++) {
		void *handle;

		assert_null(auth_calls_borrow(&calls, 1, &handle, INT64_MAX));
	}
	for (unsigned i = 0; i < 3; i++)
		call_in(&junk[i], 1);
	call_in(&good[0], 2);
	call_in(&good[1], 3);
	end_call(1, &made[0]);
	until(atomic_load(&good[0].state) == 1); /* though it came last but one */
	end_call(1, &made[1]);
	until(atomic_load(&good[1].state) == 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(atomic_load(&junk[i].state), 0);
	/* Now only one network waits, and goes on. */
	end_call(2, good[0].handle);
	until(atomic_load(&junk[0].state) == 1);
	end_call(3, good[1].handle);
	until(atomic_load(&junk[1].state) == 1);
	end_call(1, &made[2]);
	until(atomic_load(&junk[2].state) == 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(junk[i].thread, NULL), 0);
		end_call(1, junk[i].handle);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(good[i].thread, NULL), 0);
}

static void one_that_waits_no_longer_holds_up_nobody(void **state)
{
	static char made[3];
	struct caller junk = {0};
	void *handle;

	(void)state;
	for (unsigned i = 0; i < MOST; i++)
		assert_null(auth_calls_borrow(&calls, 1, &handle, INT64_MAX));
	call_in(&junk, 1);
	assert_string_equal(auth_calls_borrow(&calls, 2, &handle, clock_now_ns()),
			    "all of auth.concurrency calls are under way");
	end_call(1, &made[0]);
	until(atomic_load(&junk.state) == 1);
	assert_int_equal(pthread_join(junk.thread, NULL), 0);
	end_call(1, junk.handle);
	end_call(1, &made[1]);
	end_call(1, &made[2]);
}

static void without_memory_there_are_none(void **state)
{
	struct auth_calls others;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(auth_calls_init(&others, MOST, TIMEOUT_NS), -ENOMEM);
	auth_calls_fini(&others, count_freed);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(as_many_as_may_call_and_no_more),
		CASE(a_handle_that_could_not_be_made_takes_no_place),
		CASE(connections_are_used_before_handles_without_one),
		CASE(each_lookup_that_is_lost_takes_a_place_and_one_is_left),
		CASE(who_has_less_than_half_of_the_time_left_does_not_try_a_lost_name),
		CASE(over_a_connection_anybody_may_call_though_names_are_lost),
		CASE(a_name_that_is_found_gives_all_places_back),
		CASE(places_come_back_when_the_lookups_must_be_over),
		CASE(while_others_wait_a_network_gets_a_third),
		CASE(one_that_waits_no_longer_holds_up_nobody),
		CASE(without_memory_there_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
