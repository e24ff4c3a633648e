/* Tests of comet/round. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "comet/round.h"
#include "tests/unit/seam.h"

#define BYTES 100

static void fire(struct timer_entry *e)
{
	(void)e;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

static void connections_take_turns_over_the_shares(void **state)
{
	struct round r;

	(void)state;
	assert_int_equal(round_init(&r, 3, BYTES, fire), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_ptr_equal(round_timer(&r, i), round_timer(&r, i + 3));
		assert_ptr_equal(round_buffers(&r, i), round_buffers(&r, i + 3));
		assert_ptr_not_equal(round_timer(&r, i), round_timer(&r, i + 1));
		assert_ptr_not_equal(round_buffers(&r, i), round_buffers(&r, i + 1));
	}
	/* The count of connections may one day pass the end of its type. */
	assert_non_null(round_timer(&r, UINT32_MAX));
	round_fini(&r);
}

/* Whatever fails on the way, what was started before is stopped again. */
static void a_round_that_cannot_start_leaves_nothing_behind(void **state)
{
	struct round r;

	(void)state;
	for (unsigned after = 0; after < 6; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(round_init(&r, 3, BYTES, fire), -ENOMEM);
		assert_null(r.shares);
	}
	seam_reset();
	for (unsigned after = 0; after < 3; after++) {
		seam_fail(SEAM_PTHREAD_CREATE, after, 1, EAGAIN);
		assert_int_equal(round_init(&r, 3, BYTES, fire), -EAGAIN);
		assert_null(r.shares);
	}
}

#define round_test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		round_test(connections_take_turns_over_the_shares),
		round_test(a_round_that_cannot_start_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
