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
	assert_int_equal(seat_copy(&(struct seat){.key = key, .session_id = 7, .user.mid = -3}, &copy), 0);
	key[0] = '!';
	assert_string_equal(copy.key, "k");
	assert_int_equal(copy.session_id, 7);
	assert_int_equal(copy.user.mid, -3);
	seat_fini(&copy);
	assert_null(copy.key);
}

static void a_copy_has_a_name_of_its_own(void **state)
{
	char name[] = "Ann";
	struct seat copy;

	(void)state;
	assert_int_equal(seat_copy(&(struct seat){.key = "k", .user.name = name}, &copy), 0);
	name[0] = '!';
	assert_string_equal(copy.user.name, "Ann");
	seat_fini(&copy);
	assert_null(copy.user.name);
}

/* A user called as a connection is would share what is kept for each. */
static void no_owner_is_called_as_another(void **state)
{
	const struct seat seats[] = {{.key = "a"},
				     {.key = "7"},
				     {.key = "c", .user.mid = -5},
				     {.key = "d", .user.mid = -5},
				     {.key = "7", .user.mid = 7},
				     {.key = "7", .user.name = "007"},
				     {.key = "x", .user.name = "key a"},
				     {.key = "x", .user.name = "a"},
				     {.key = "x", .user.name = "key%20a"}};
	char one[SEAT_OWNER_BYTES], other[SEAT_OWNER_BYTES];

	(void)state;
	assert_string_equal(seat_owner(&seats[0], one), "key a");
	assert_string_equal(seat_owner(&seats[4], one), "7");
	for (size_t i = 0; i < sizeof(seats) / sizeof(seats[0]); i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(seat_owner(&seats[i], one), seat_owner(&seats[k], other));
}

static void without_memory_a_copy_is_empty(void **state)
{
	struct seat copy = {.key = "left over"};

	(void)state;
	for (unsigned nth = 0; nth < 2; nth++) {
		seam_fail(SEAM_ALLOC, nth, 1, ENOMEM);
		assert_int_equal(seat_copy(&(struct seat){.key = "k", .session_id = 7, .user.name = "Ann"}, &copy),
				 -ENOMEM);
		seam_reset();
		assert_null(copy.key);
		assert_null(copy.user.name);
		assert_int_equal(copy.session_id, 0);
		seat_fini(&copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_outlives_what_it_was_made_of),
		cmocka_unit_test(a_copy_has_a_name_of_its_own),
		cmocka_unit_test(no_owner_is_called_as_another),
		cmocka_unit_test(without_memory_a_copy_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
