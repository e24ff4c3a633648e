/* Tests of common/base/stack. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/stack.h"
#include "tests/unit/dying.h"
#include "tests/unit/seam.h"

#define SLAB_STACKS 64
#define HOT_MAX     256
#define MANY        (HOT_MAX + 50)

static struct stack *stacks[MANY];
static char words[4096];

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	stack_fini();
	return 0;
}

static void get_many(int n)
{
	for (int i = 0; i < n; i++)
		assert_non_null(stacks[i] = stack_get());
}

static void put_many(int n)
{
	for (int i = 0; i < n; i++)
		stack_put(stacks[i]);
}

static int by_base(const void *a, const void *b)
{
	const struct stack *const *left = a, *const *right = b;

	return (*left)->base < (*right)->base ? -1 : (*left)->base > (*right)->base;
}

static void stacks_are_apart_by_a_guard_and_writable_end_to_end(void **state)
{
	(void)state;
	get_many(SLAB_STACKS + 1);
	for (int i = 0; i < SLAB_STACKS + 1; i++) {
		assert_int_equal((uintptr_t)stacks[i]->base % STACK_GUARD_BYTES, 0);
		stacks[i]->base[0] = 1;
		stacks[i]->base[STACK_BYTES - 1] = 1;
	}
	qsort(stacks, SLAB_STACKS + 1, sizeof(stacks[0]), by_base);
	for (int i = 1; i < SLAB_STACKS + 1; i++)
		assert_true(stacks[i]->base - stacks[i - 1]->base >= STACK_BYTES + STACK_GUARD_BYTES);
	put_many(SLAB_STACKS + 1);
}

static void last_given_back_is_first_taken(void **state)
{
	struct stack *first, *second;

	(void)state;
	first = stack_get();
	second = stack_get();
	assert_ptr_not_equal(first, second);
	stack_put(first);
	stack_put(second);
	assert_ptr_equal(stack_get(), second);
	assert_ptr_equal(stack_get(), first);
	stack_put(first);
	stack_put(second);
}

static void beyond_a_hot_reserve_the_pages_go_back(void **state)
{
	(void)state;
	get_many(MANY);
	for (int i = 0; i < MANY; i++) {
		stacks[i]->base[0] = 'x';
		stacks[i]->base[STACK_BYTES - 1] = 'x';
	}
	put_many(MANY);
	for (int i = 0; i < HOT_MAX; i++)
		assert_int_equal(stacks[i]->base[STACK_BYTES - 1], 'x');
	/* Pages that were given back read as zeros. */
	for (int i = HOT_MAX; i < MANY; i++) {
		assert_int_equal(stacks[i]->base[0], 0);
		assert_int_equal(stacks[i]->base[STACK_BYTES - 1], 0);
	}
	/* Those with pages are taken first. */
	assert_ptr_equal(stack_get(), stacks[HOT_MAX - 1]);
	stack_put(stacks[HOT_MAX - 1]);
}

/* ---- guards ---- */

static void write_below_a_stack(void)
{
	struct stack *s = stack_get();

	if (s != NULL)
		((volatile char *)s->base)[-1] = 1;
}

static void write_below_a_stack_faults(void **state)
{
	(void)state;
	assert_int_equal(dying(write_below_a_stack, words, sizeof(words)), SIGSEGV);
}

static void kernel_without_light_guards_gets_heavy_ones(void **state)
{
	int64_t unguarded = counters_read(COUNT_STACKS_UNGUARDED);

	(void)state;
	seam_fail(SEAM_MADVISE, 1, SLAB_STACKS, EINVAL); /* the first keeps huge pages away */
	assert_int_equal(dying(write_below_a_stack, words, sizeof(words)), SIGSEGV);
	get_many(1);
	assert_int_equal(seam_failed(SEAM_MADVISE), SLAB_STACKS);
	assert_int_equal(counters_read(COUNT_STACKS_UNGUARDED), unguarded);
	put_many(1);
}

static void stack_without_a_guard_is_better_than_none_and_counted(void **state)
{
	int64_t unguarded = counters_read(COUNT_STACKS_UNGUARDED);

	(void)state;
	seam_fail(SEAM_MADVISE, 0, SLAB_STACKS + 1, EINVAL);
	seam_fail(SEAM_MPROTECT, 0, SLAB_STACKS, ENOMEM);
	assert_int_equal(dying(write_below_a_stack, words, sizeof(words)), 0);
	get_many(1);
	assert_int_equal(seam_failed(SEAM_MPROTECT), SLAB_STACKS);
	assert_int_equal(counters_read(COUNT_STACKS_UNGUARDED) - unguarded, SLAB_STACKS);
	put_many(1);
}

/* ---- bad luck and bad callers ---- */

static void without_memory_there_is_no_stack(void **state)
{
	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_null(stack_get());
	seam_fail(SEAM_MMAP, 0, 1, ENOMEM);
	assert_null(stack_get());
	assert_int_equal(seam_failed(SEAM_ALLOC) + seam_failed(SEAM_MMAP), 2);
	assert_non_null(stacks[0] = stack_get());
	stack_put(stacks[0]);
}

static void stack_whose_pages_cannot_go_back_is_used_again(void **state)
{
	(void)state;
	get_many(MANY);
	seam_fail(SEAM_MADVISE, 0, MANY, EINVAL);
	put_many(MANY);
	assert_int_equal(seam_failed(SEAM_MADVISE), MANY - HOT_MAX);
	get_many(MANY);
	put_many(MANY);
}

static void *get_and_put(void *arg)
{
	for (int i = 0; i < 200; i++) {
		struct stack *s = stack_get();

		if (s == NULL)
			return arg;
		/* Were it another's, too, ThreadSanitizer would say so. */
		s->base[0]++;
		stack_put(s);
	}
	return NULL;
}

static void any_thread_gets_one_of_its_own(void **state)
{
	pthread_t threads[4];
	void *bad;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, get_and_put, &stacks), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
}

static void finish_with_one_in_use(void)
{
	if (stack_get() != NULL)
		stack_fini();
}

static void end_with_a_stack_in_use_stops_the_program(void **state)
{
	(void)state;
	assert_int_equal(dying(finish_with_one_in_use, words, sizeof(words)), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(stacks_are_apart_by_a_guard_and_writable_end_to_end, tear_down),
		cmocka_unit_test_teardown(last_given_back_is_first_taken, tear_down),
		cmocka_unit_test_teardown(beyond_a_hot_reserve_the_pages_go_back, tear_down),
		cmocka_unit_test_teardown(write_below_a_stack_faults, tear_down),
		cmocka_unit_test_teardown(kernel_without_light_guards_gets_heavy_ones, tear_down),
		cmocka_unit_test_teardown(stack_without_a_guard_is_better_than_none_and_counted, tear_down),
		cmocka_unit_test_teardown(without_memory_there_is_no_stack, tear_down),
		cmocka_unit_test_teardown(stack_whose_pages_cannot_go_back_is_used_again, tear_down),
		cmocka_unit_test_teardown(any_thread_gets_one_of_its_own, tear_down),
		cmocka_unit_test_teardown(end_with_a_stack_in_use_stops_the_program, tear_down),
	};

	return cmocka_run_group_tests_name("stack", tests, NULL, NULL);
}
