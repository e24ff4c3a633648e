/* Tests of logic_client/kicks. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "logic_client/kicks.h"
#include "tests/unit/seam.h"

#define KEEP_NS (4 * CLOCK_SEC)

static struct kicks kicks;

static int set_up(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_SEC, 1);
	kicks_init(&kicks, KEEP_NS);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kicks_fini(&kicks);
	seam_reset();
	return 0;
}

static int add(const char *key, uint64_t session, enum wire_reason reason)
{
	const struct wire_push kick = {
		.target = WIRE_KICK, .keys = &key, .sessions = &session, .n_keys = 1, .reason = reason};

	return kicks_add(&kicks, &kick);
}

static bool has(const char *key, uint64_t session)
{
	enum wire_reason reason;

	return kicks_has(&kicks, &(struct seat){.key = key, .session_id = session}, &reason);
}

static void a_kick_is_for_its_session_and_those_before(void **state)
{
	enum wire_reason reason = WIRE_KICKED;

	(void)state;
	assert_int_equal(add("k", 7, WIRE_REPLACED), 0);
	assert_true(has("k", 6));
	assert_true(kicks_has(&kicks, &(struct seat){.key = "k", .session_id = 7}, &reason));
	assert_int_equal(reason, WIRE_REPLACED);
	assert_false(has("k", 8));
	assert_false(has("other", 1));
	assert_int_equal(add("k", 7, WIRE_KICKED), 0);
	assert_true(kicks_has(&kicks, &(struct seat){.key = "k", .session_id = 7}, &reason));
	assert_int_equal(reason, WIRE_KICKED);
}

static void kicks_may_come_in_any_order(void **state)
{
	(void)state;
	assert_int_equal(add("k", 9, WIRE_REPLACED), 0);
	assert_int_equal(add("k", 5, WIRE_REPLACED), 0);
	assert_true(has("k", 9));
}

static void a_kick_of_whoever_has_the_key_is_not_for_those_who_come(void **state)
{
	const char *key = "k";
	const struct wire_push kick = {.target = WIRE_KICK, .keys = &key, .n_keys = 1, .reason = WIRE_KICKED};

	(void)state;
	assert_int_equal(add("k", 0, WIRE_KICKED), 0);
	assert_int_equal(kicks_add(&kicks, &kick), 0);
	assert_false(has("k", 1));
}

static void after_a_while_it_is_forgotten(void **state)
{
	(void)state;
	assert_int_equal(add("k", 7, WIRE_KICKED), 0);
	seam_clock_advance(KEEP_NS - 1);
	assert_true(has("k", 7));
	seam_clock_advance(2);
	assert_false(has("k", 7));
	assert_int_equal(add("other", 1, WIRE_KICKED), 0);
	assert_int_equal(kicks.n, 1);
}

static void of_too_many_the_oldest_go(void **state)
{
	char key[16];

	(void)state;
	for (unsigned i = 0; i < KICKS_MAX + 10; i++) {
		(void)snprintf(key, sizeof(key), "%u", i);
		assert_int_equal(add(key, 1, WIRE_KICKED), 0);
	}
	assert_int_equal(kicks.n, KICKS_MAX);
	assert_false(has("9", 1));
	assert_true(has("10", 1));
	assert_true(has(key, 1));
}

static void without_memory_it_is_not_remembered_and_nothing_is_left(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 2; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(add("k", 7, WIRE_KICKED), -ENOMEM);
		assert_false(has("k", 7));
	}
	assert_int_equal(kicks.n, 0);
}

#define kicks_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		kicks_test(a_kick_is_for_its_session_and_those_before),
		kicks_test(kicks_may_come_in_any_order),
		kicks_test(a_kick_of_whoever_has_the_key_is_not_for_those_who_come),
		kicks_test(after_a_while_it_is_forgotten),
		kicks_test(of_too_many_the_oldest_go),
		kicks_test(without_memory_it_is_not_remembered_and_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
