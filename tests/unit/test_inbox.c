/* Bytes that have come and that nobody has taken. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/inbox.h"
#include "tests/unit/seam.h"

static struct inbox box;

static int empty(void **state)
{
	(void)state;
	seam_reset();
	inbox_fini(&box);
	return 0;
}

static void what_is_put_comes_out_in_order_however_it_is_cut(void **state)
{
	uint8_t put = 0, taken = 0, bytes[5000];

	(void)state;
	for (unsigned round = 0; round < 500; round++) {
		size_t n = round * 37 % sizeof(bytes);

		for (size_t i = 0; i < n; i++)
			bytes[i] = put++;
		assert_int_equal(inbox_put(&box, bytes, n), 0);
		n = inbox_take(&box, bytes, round % 7 == 0 ? sizeof(bytes) : round * 41 % 4000);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(bytes[i], taken++);
	}
	assert_true(inbox_held(&box) > 0);
	while (inbox_held(&box) > 0)
		for (size_t i = 0, n = inbox_take(&box, bytes, sizeof(bytes)); i < n; i++)
			assert_int_equal(bytes[i], taken++);
	assert_int_equal(put, taken);
	assert_int_equal(inbox_take(&box, bytes, 1), 0);
}

static void without_memory_it_is_as_it_was(void **state)
{
	uint8_t bytes[9000] = {7};

	(void)state;
	assert_int_equal(inbox_put(&box, bytes, 3), 0);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(inbox_put(&box, bytes, sizeof(bytes)), -ENOMEM);
	assert_int_equal(inbox_held(&box), 3);
	assert_int_equal(inbox_take(&box, bytes, sizeof(bytes)), 3);
	assert_int_equal(bytes[0], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_put_comes_out_in_order_however_it_is_cut, empty),
		cmocka_unit_test_teardown(without_memory_it_is_as_it_was, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
