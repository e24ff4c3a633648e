/* Tests of common/wire/seat. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "common/wire/seat.h"
#include "tests/unit/seam.h"

static void a_copy_outlives_what_it_was_made_of(void **state)
{
	char key[] = "k";
	struct seat copy;

	(void)state;
	assert_int_equal(seat_copy(&(struct seat){.key = key, .session_id = 7, .mid = -3}, &copy), 0);
	key[0] = '!';
	assert_string_equal(copy.key, "k");
	assert_int_equal(copy.session_id, 7);
	assert_int_equal(copy.mid, -3);
	seat_fini(&copy);
	assert_null(copy.key);
}

static void without_memory_a_copy_is_empty(void **state)
{
	struct seat copy = {.key = "left over"};

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(seat_copy(&(struct seat){.key = "k", .session_id = 7}, &copy), -ENOMEM);
	seam_reset();
	assert_null(copy.key);
	assert_int_equal(copy.session_id, 0);
	seat_fini(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_outlives_what_it_was_made_of),
		cmocka_unit_test(without_memory_a_copy_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
