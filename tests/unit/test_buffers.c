/* Tests of comet/transport/buffers. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/buffers.h"
#include "tests/unit/seam.h"

#define BYTES 100

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

static void a_buffer_given_back_is_lent_again(void **state)
{
	struct buffers b;
	uint8_t *first;

	(void)state;
	buffers_init(&b, BYTES);
	assert_true(b.size >= BYTES);
	assert_non_null(first = buffers_get(&b));
	memset(first, 0xff, b.size);
	buffers_put(&b, first);
	assert_ptr_equal(buffers_get(&b), first);
	buffers_put(&b, first);
	buffers_put(&b, NULL);
	buffers_fini(&b);
}

static void a_buffer_that_is_smaller_than_a_pointer_is_made_larger(void **state)
{
	struct buffers b;

	(void)state;
	buffers_init(&b, 1);
	assert_true(b.size >= sizeof(void *));
	buffers_fini(&b);
}

static void only_a_few_buffers_are_kept(void **state)
{
	uint8_t *lent[200];
	struct buffers b;

	(void)state;
	buffers_init(&b, BYTES);
	for (unsigned i = 0; i < 200; i++)
		assert_non_null(lent[i] = buffers_get(&b));
	for (unsigned i = 0; i < 200; i++)
		buffers_put(&b, lent[i]);
	assert_int_equal(b.n_free, b.keep_max);
	assert_true(b.keep_max < 200);
	buffers_fini(&b);
}

static void without_memory_no_buffer_is_lent(void **state)
{
	struct buffers b;
	uint8_t *buffer;

	(void)state;
	buffers_init(&b, BYTES);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_null(buffers_get(&b));
	assert_non_null(buffer = buffers_get(&b));
	buffers_put(&b, buffer);
	/* One that is kept needs no memory. */
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_ptr_equal(buffers_get(&b), buffer);
	buffers_put(&b, buffer);
	buffers_fini(&b);
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
	struct buffers b;

	(void)state;
	buffers_init(&b, BYTES);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, borrow, &b), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	buffers_fini(&b);
}

#define buffers_test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		buffers_test(a_buffer_given_back_is_lent_again),
		buffers_test(a_buffer_that_is_smaller_than_a_pointer_is_made_larger),
		buffers_test(only_a_few_buffers_are_kept),
		buffers_test(without_memory_no_buffer_is_lent),
		buffers_test(no_buffer_is_lent_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
