/* Packets that wait while an answer is waited for. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/backlog.h"
#include "tests/unit/seam.h"

#define LONG_BYTES (16u << 20) /* as long as a body may be */

static struct backlog b;

static int end(void **state)
{
	(void)state;
	seam_reset();
	backlog_fini(&b);
	assert_int_equal(b.bytes, 0);
	return 0;
}

static int put(const void *body, size_t bytes)
{
	return backlog_put(&b, &(struct packet){.op = 1000, .body = (uint8_t *)body, .body_bytes = (uint32_t)bytes});
}

static void they_come_in_their_order_with_copies_of_their_bodies(void **state)
{
	char body[] = "one";
	struct packet p;

	(void)state;
	assert_int_equal(put(body, 3), 0);
	assert_int_equal(put("", 0), 0);
	memcpy(body, "two", 3);
	assert_true(backlog_take(&b, &p));
	assert_int_equal(p.body_bytes, 3);
	assert_memory_equal(p.body, "one", 3);
	packet_drop_body(&p);
	assert_true(backlog_take(&b, &p));
	assert_int_equal(p.body_bytes, 0);
	assert_false(backlog_take(&b, &p));
}

static void not_more_wait_than_so_many_bytes(void **state)
{
	char *body = calloc(1, LONG_BYTES);
	struct packet p;

	(void)state;
	assert_non_null(body);
	for (int i = 0; i < 4; i++)
		assert_int_equal(put(body, LONG_BYTES), 0);
	assert_int_equal(put(body, 1), -ENOBUFS);
	assert_int_equal(put(body, 0), 0);
	assert_true(backlog_take(&b, &p));
	packet_drop_body(&p);
	assert_int_equal(put(body, LONG_BYTES), 0);
	assert_int_equal(put(body, 1), -ENOBUFS);
	free(body);
}

static void without_memory_nothing_is_put(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		seam_fail(SEAM_ALLOC, i, 1, ENOMEM);
		assert_int_equal(put("one", 3), -ENOMEM);
		seam_reset();
		assert_int_equal(b.n, 0);
		assert_int_equal(b.bytes, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(they_come_in_their_order_with_copies_of_their_bodies, end),
		cmocka_unit_test_teardown(not_more_wait_than_so_many_bytes, end),
		cmocka_unit_test_teardown(without_memory_nothing_is_put, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
