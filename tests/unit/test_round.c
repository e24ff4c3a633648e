/* Tests of comet/round. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

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

static void a_buffer_given_back_is_lent_again(void **state)
{
	struct buffers *b;
	uint8_t *first;
	struct round r;

	(void)state;
	assert_int_equal(round_init(&r, 1, BYTES, fire), 0);
	b = round_buffers(&r, 0);
	assert_true(b->size >= BYTES);
	assert_non_null(first = buffers_get(b));
	memset(first, 0xff, b->size);
	buffers_put(b, first);
	assert_ptr_equal(buffers_get(b), first);
	buffers_put(b, first);
	buffers_put(b, NULL);
	round_fini(&r);
}

static void a_buffer_that_is_smaller_than_a_pointer_is_made_larger(void **state)
{
	struct round r;

	(void)state;
	assert_int_equal(round_init(&r, 1, 1, fire), 0);
	assert_true(round_buffers(&r, 0)->size >= sizeof(void *));
	round_fini(&r);
}

static void only_a_few_buffers_are_kept(void **state)
{
	uint8_t *lent[200];
	struct buffers *b;
	struct round r;

	(void)state;
	assert_int_equal(round_init(&r, 1, BYTES, fire), 0);
	b = round_buffers(&r, 0);
	for (unsigned i = 0; i < 200; i++)
		assert_non_null(lent[i] = buffers_get(b));
	for (unsigned i = 0; i < 200; i++)
		buffers_put(b, lent[i]);
	assert_int_equal(b->n_free, b->keep_max);
	assert_true(b->keep_max < 200);
	round_fini(&r);
}

static void without_memory_no_buffer_is_lent(void **state)
{
	struct buffers *b;
	uint8_t *buffer;
	struct round r;

	(void)state;
	assert_int_equal(round_init(&r, 1, BYTES, fire), 0);
	b = round_buffers(&r, 0);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_null(buffers_get(b));
	assert_non_null(buffer = buffers_get(b));
	buffers_put(b, buffer);
	/* One that is kept needs no memory. */
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_ptr_equal(buffers_get(b), buffer);
	buffers_put(b, buffer);
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

static void *borrow(void *arg)
{
	struct buffers *b = arg;

	for (int i = 0; i < 2000; i++) {
		uint8_t *one = buffers_get(b), *two = buffers_get(b);

		if (one == NULL || two == NULL || one == two)
			abort();
		memset(one, i, b->size);
		memset(two, i + 1, b->size);
		buffers_put(b, one);
		buffers_put(b, two);
	}
	return NULL;
}

/* The sanitizer of threads sees it if two ever held the same one. */
static void no_buffer_is_lent_twice(void **state)
{
	pthread_t threads[3];
	struct round r;

	(void)state;
	assert_int_equal(round_init(&r, 1, BYTES, fire), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, borrow, round_buffers(&r, 0)), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	round_fini(&r);
}

#define round_test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		round_test(connections_take_turns_over_the_shares),
		round_test(a_buffer_given_back_is_lent_again),
		round_test(a_buffer_that_is_smaller_than_a_pointer_is_made_larger),
		round_test(only_a_few_buffers_are_kept),
		round_test(without_memory_no_buffer_is_lent),
		round_test(a_round_that_cannot_start_leaves_nothing_behind),
		round_test(no_buffer_is_lent_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
