/* Tests of comet/queue. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "comet/queue.h"
#include "tests/unit/seam.h"

#define MAX 10

static struct queue q;

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	(void)queue_fini(&q);
	return 0;
}

/* A message of this op whose only reference is then the queue's. */
static int put(int32_t op, uint32_t bytes)
{
	static const char body[1000];
	struct message *m;
	int rc;

	assert_int_equal(message_new(op, body, bytes, &m), 0);
	rc = queue_put(&q, m);
	message_unref(&m);
	return rc;
}

/* The first n leave, and their references with them. */
static void take(unsigned n)
{
	struct message *out[MAX];

	assert_int_equal(queue_get(&q, out, n), n);
	queue_get_adv(&q, n);
	for (unsigned i = 0; i < n; i++)
		message_unref(&out[i]);
}

/* In it are the messages of these ops and of all between them, in this order. */
static void holds(int32_t first, int32_t last)
{
	struct message *out[MAX];
	unsigned n = queue_get(&q, out, MAX);

	assert_int_equal(n, last - first + 1);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(out[i]->op, first + (int)i);
}

static void the_end_drops_what_is_in_it_and_says_how_much(void **state)
{
	struct message *m;

	(void)state;
	queue_init(&q, MAX, 0);
	assert_int_equal(message_new(5, "x", 1, &m), 0);
	for (int i = 0; i < MAX; i++)
		assert_int_equal(queue_put(&q, m), 0);
	assert_int_equal(m->refs, MAX + 1);
	assert_int_equal(queue_fini(&q), MAX);
	assert_int_equal(m->refs, 1);
	message_unref(&m);
	queue_init(&q, MAX, 0);
}

static void a_full_queue_takes_no_message_and_no_reference(void **state)
{
	struct message *m;

	(void)state;
	queue_init(&q, MAX, 0);
	for (int i = 0; i < MAX; i++)
		assert_int_equal(put(i, 1), 0);
	assert_int_equal(message_new(5, "x", 1, &m), 0);
	assert_false(queue_has_space(&q, m));
	assert_int_equal(queue_put(&q, m), -ENOBUFS);
	assert_int_equal(m->refs, 1);
	take(1);
	assert_true(queue_has_space(&q, m));
	message_unref(&m);
	holds(1, MAX - 1);
}

static void a_queue_that_cannot_grow_takes_no_message_and_keeps_what_it_has(void **state)
{
	struct message *m;

	(void)state;
	queue_init(&q, MAX, 0);
	for (int i = 0; i < QUEUE_INLINE; i++)
		assert_int_equal(put(i, 1), 0);
	assert_int_equal(message_new(5, "x", 1, &m), 0);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(queue_put(&q, m), -ENOMEM);
	assert_int_equal(m->refs, 1);
	message_unref(&m);
	assert_int_equal(put(QUEUE_INLINE, 1), 0);
	holds(0, QUEUE_INLINE);
}

/* It starts anywhere in its places, grows there, and empties again: for each start and each length. */
static void the_order_stays_when_it_grows_and_shrinks(void **state)
{
	(void)state;
	for (int start = 0; start < QUEUE_INLINE; start++)
		for (int n = 1; n <= MAX; n++) {
			queue_init(&q, MAX, 0);
			for (int i = 0; i < start; i++) {
				assert_int_equal(put(0, 1), 0);
				take(1);
			}
			for (int i = 0; i < n; i++)
				assert_int_equal(put(i, 1), 0);
			holds(0, n - 1);
			take((unsigned)n / 2);
			holds(n / 2, n - 1);
			take((unsigned)(n - n / 2));
			assert_ptr_equal(q.places, q.own);
			assert_int_equal(queue_fini(&q), 0);
		}
	queue_init(&q, MAX, 0);
}

static void it_is_full_by_bytes_too(void **state)
{
	(void)state;
	queue_init(&q, MAX, 25);
	assert_int_equal(put(1, 10), 0);
	assert_int_equal(put(2, 10), 0);
	assert_int_equal(put(3, 10), -ENOBUFS);
	assert_int_equal(put(3, 5), 0);
	assert_int_equal(q.bytes, 25);
	take(1);
	assert_int_equal(q.bytes, 15);
	assert_int_equal(put(4, 10), 0);
	holds(2, 4);
}

static void one_message_of_any_size_may_wait(void **state)
{
	(void)state;
	queue_init(&q, MAX, 25);
	assert_int_equal(put(7, 1000), 0);
	assert_int_equal(put(8, 1000), -ENOBUFS);
	assert_int_equal(put(8, 0), -ENOBUFS);
	take(1);
	assert_int_equal(q.bytes, 0);
	assert_int_equal(put(8, 1000), 0);
}

#define queue_test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		queue_test(the_end_drops_what_is_in_it_and_says_how_much),
		queue_test(a_full_queue_takes_no_message_and_no_reference),
		queue_test(a_queue_that_cannot_grow_takes_no_message_and_keeps_what_it_has),
		queue_test(the_order_stays_when_it_grows_and_shrinks),
		queue_test(it_is_full_by_bytes_too),
		queue_test(one_message_of_any_size_may_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
