/* Tests of logic/lane. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "logic/lane.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define ITEMS_MAX 4

static struct lane *lane;
static sem_t gate;         /* each item needs one to be done, */
static sem_t gate_of_7;    /* those of sender 7 here */
static atomic_int n_taken; /* that a thread has begun with */
static char done[64];      /* the items as letters, in the order in which they were done */
static atomic_size_t n_done;

static void work(void *self, const struct lane_item *item)
{
	assert_ptr_equal(self, &gate);
	atomic_fetch_add(&n_taken, 1);
	while (sem_wait(item->sender == 7 ? &gate_of_7 : &gate) < 0)
		;
	done[atomic_fetch_add(&n_done, 1)] = *(const char *)item->what;
}

static const struct lane_options options = {
	.threads = 1, .items_max = ITEMS_MAX, .bytes_max = 100, .work = work, .self = &gate};

static int set_up(void **state)
{
	(void)state;
	memset(done, 0, sizeof(done));
	atomic_store(&n_taken, 0);
	atomic_store(&n_done, 0);
	return sem_init(&gate, 0, 0) < 0 ? -1 : sem_init(&gate_of_7, 0, 0);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return sem_destroy(&gate) < 0 ? -1 : sem_destroy(&gate_of_7);
}

static bool put(const char *letter, size_t bytes)
{
	return lane_put(lane, &(struct lane_item){.what = (char *)(uintptr_t)letter, .bytes = bytes});
}

static void open_gate(unsigned times)
{
	while (times-- > 0)
		assert_int_equal(sem_post(&gate), 0);
}

static void what_comes_first_is_done_first_also_at_the_stop(void **state)
{
	(void)state;
	assert_int_equal(lane_start(&options, &lane), 0);
	for (const char *letter = "abcd"; *letter != '\0'; letter++)
		assert_true(put(letter, 1));
	open_gate(2);
	until(atomic_load(&n_done) == 2);
	open_gate(2);
	lane_stop(&lane);
	assert_null(lane);
	assert_string_equal(done, "abcd");
}

static bool put_of(const char *letter, uint64_t sender)
{
	return lane_put(lane, &(struct lane_item){.what = (char *)(uintptr_t)letter, .bytes = 1, .sender = sender});
}

static void one_sender_has_a_part_of_the_threads_while_others_wait(void **state)
{
	struct lane_options shared = options;

	(void)state;
	shared.threads = 3;
	shared.items_max = 16;
	shared.threads_of_one = 1;
	assert_int_equal(lane_start(&shared, &lane), 0);
	assert_true(put_of("a", 7));
	until(atomic_load(&n_taken) == 1);
	assert_true(put_of("b", 7)); /* nobody else waits: it may have all */
	until(atomic_load(&n_taken) == 2);
	assert_true(put_of("x", 8));
	until(atomic_load(&n_taken) == 3);
	assert_true(put_of("c", 7));
	assert_true(put_of("d", 7));
	assert_true(put_of("y", 9));
	assert_true(put_of("z", 10));
	open_gate(1);
	until(atomic_load(&n_taken) == 4); /* y */
	open_gate(1);
	until(atomic_load(&n_taken) == 5); /* z */
	open_gate(1);
	until(atomic_load(&n_taken) == 6); /* c: nobody else waits */
	assert_memory_equal(done, "xyz", 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(sem_post(&gate_of_7), 0);
	lane_stop(&lane);
	assert_int_equal(atomic_load(&n_done), 7);
}

static void a_full_lane_takes_no_more_until_something_is_done(void **state)
{
	(void)state;
	assert_int_equal(lane_start(&options, &lane), 0);
	assert_true(put("a", 1));
	until(atomic_load(&n_taken) == 1); /* it waits no more */
	for (const char *letter = "bcde"; *letter != '\0'; letter++)
		assert_true(put(letter, 1));
	assert_false(put("f", 1));
	open_gate(1);
	until(atomic_load(&n_taken) == 2);
	assert_true(put("g", 1));
	open_gate(5);
	lane_stop(&lane);
	assert_string_equal(done, "abcdeg");
}

static void a_lane_is_full_by_bytes_too(void **state)
{
	(void)state;
	assert_int_equal(lane_start(&options, &lane), 0);
	assert_true(put("a", 1));
	until(atomic_load(&n_taken) == 1);
	assert_true(put("b", 99));
	assert_true(put("c", 1000)); /* the last may go beyond */
	assert_false(put("d", 1));
	open_gate(2);
	until(atomic_load(&n_taken) == 3);
	assert_true(put("e", 1));
	open_gate(2);
	lane_stop(&lane);
	assert_string_equal(done, "abce");
}

static void all_its_threads_work(void **state)
{
	struct lane_options three = options;

	(void)state;
	three.threads = 3;
	assert_int_equal(lane_start(&three, &lane), 0);
	for (int i = 0; i < 3; i++)
		assert_true(put("x", 1));
	until(atomic_load(&n_taken) == 3);
	for (unsigned i = 0; i < 3; i++) { /* done[] is nobody's but one thread's at a time */
		open_gate(1);
		until(atomic_load(&n_done) == i + 1);
	}
	lane_stop(&lane);
}

static void what_cannot_start_leaves_nothing(void **state)
{
	struct lane_options three = options;

	(void)state;
	three.threads = 3;
	for (unsigned after = 0; after < 3; after++) {
		seam_fail(SEAM_PTHREAD_CREATE, after, 1, EAGAIN);
		assert_int_equal(lane_start(&three, &lane), -EAGAIN);
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(lane_start(&three, &lane), -ENOMEM);
		seam_reset();
	}
}

#define lane_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		lane_test(what_comes_first_is_done_first_also_at_the_stop),
		lane_test(one_sender_has_a_part_of_the_threads_while_others_wait),
		lane_test(a_full_lane_takes_no_more_until_something_is_done),
		lane_test(a_lane_is_full_by_bytes_too),
		lane_test(all_its_threads_work),
		lane_test(what_cannot_start_leaves_nothing),
	};

	return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
