/* Tests of comet/ring. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "comet/ring.h"
#include "tests/unit/seam.h"

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

static void put(struct ring *r, int32_t seq)
{
	struct packet *p;

	assert_int_equal(ring_set(r, &p), 0);
	*p = (struct packet){.seq = seq};
	assert_int_equal(packet_set_body(p, "body", 4), 0);
	ring_set_adv(r);
}

static int32_t first(struct ring *r)
{
	struct packet *p;

	assert_int_equal(ring_get(r, 0, &p), 0);
	return p->seq;
}

static void the_size_is_rounded_up_to_a_power_of_two(void **state)
{
	static const uint32_t cases[][2] = {{1, 1}, {2, 2}, {3, 4}, {8, 8}, {9, 16}, {1024, 1024}};
	struct ring r;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ring_init(&r, cases[i][0]);
		assert_int_equal(r.size, cases[i][1]);
		ring_fini(&r);
	}
}

static void one_packet_at_a_time_needs_no_memory(void **state)
{
	struct ring r;

	(void)state;
	ring_init(&r, 8);
	for (int32_t i = 0; i < 20; i++) {
		put(&r, i);
		assert_int_equal(first(&r), i);
		ring_get_adv(&r);
		assert_null(r.rest);
	}
	ring_fini(&r);
}

static void without_memory_there_is_no_second_slot(void **state)
{
	struct packet *p;
	struct ring r;

	(void)state;
	ring_init(&r, 8);
	put(&r, 1);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(ring_set(&r, &p), -ENOMEM);
	put(&r, 2);
	assert_int_equal(first(&r), 1);
	ring_fini(&r);
}

static void a_ring_that_is_empty_again_gives_its_memory_back(void **state)
{
	struct packet *p;
	struct ring r;

	(void)state;
	ring_init(&r, 4);
	for (int32_t i = 0; i < 3; i++)
		put(&r, i);
	assert_non_null(r.rest);
	for (int32_t i = 0; i < 3; i++)
		ring_get_adv(&r);
	assert_int_equal(ring_set(&r, &p), 0);
	assert_null(r.rest);
	ring_fini(&r);
}

/* The reader may hold a packet there while what came before is answered. */
static void a_slot_that_was_set_stays_where_it_is(void **state)
{
	struct packet *p, *again;
	struct ring r;

	(void)state;
	ring_init(&r, 4);
	put(&r, 1);
	assert_int_equal(ring_set(&r, &p), 0);
	*p = (struct packet){.seq = 2};
	ring_get_adv(&r);
	assert_int_equal(ring_set(&r, &again), 0);
	assert_ptr_equal(again, p);
	ring_set_adv(&r);
	assert_int_equal(first(&r), 2);
	ring_fini(&r);
}

static void an_empty_ring_gives_nothing(void **state)
{
	struct packet *p;
	struct ring r;

	(void)state;
	ring_init(&r, 4);
	assert_int_equal(ring_get(&r, 0, &p), -EAGAIN);
	ring_fini(&r);
}

static void a_slot_that_was_set_but_not_advanced_is_not_given(void **state)
{
	struct packet *p;
	struct ring r;

	(void)state;
	ring_init(&r, 4);
	assert_int_equal(ring_set(&r, &p), 0);
	assert_int_equal(ring_get(&r, 0, &p), -EAGAIN);
	ring_fini(&r);
}

static void packets_come_out_in_the_order_they_went_in(void **state)
{
	struct packet *p;
	struct ring r;

	(void)state;
	ring_init(&r, 4);
	for (int32_t i = 0; i < 3; i++)
		put(&r, i);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(ring_get(&r, i, &p), 0);
		assert_int_equal(p->seq, i);
	}
	assert_int_equal(ring_get(&r, 3, &p), -EAGAIN);
	for (int32_t i = 0; i < 3; i++) {
		assert_int_equal(first(&r), i);
		ring_get_adv(&r);
	}
	assert_int_equal(ring_count(&r), 0);
	ring_fini(&r);
}

static void a_full_ring_takes_no_more_until_one_was_answered(void **state)
{
	struct packet *p;
	struct ring r;

	(void)state;
	ring_init(&r, 2);
	put(&r, 1);
	assert_false(ring_is_full(&r));
	put(&r, 2);
	assert_true(ring_is_full(&r));
	assert_int_equal(ring_set(&r, &p), -EAGAIN);
	ring_get_adv(&r);
	assert_int_equal(ring_set(&r, &p), 0);
	ring_fini(&r);
}

static void an_answered_packet_loses_its_body(void **state)
{
	struct packet *p;
	struct ring r;

	(void)state;
	ring_init(&r, 1);
	put(&r, 1);
	ring_get_adv(&r);
	assert_int_equal(ring_set(&r, &p), 0);
	assert_null(p->body);
	assert_int_equal(p->body_bytes, 0);
	ring_fini(&r);
}

/* The counters run on past the size, and one day past the end of their type. */
static void the_counters_may_wrap_around(void **state)
{
	struct ring r;

	(void)state;
	ring_init(&r, 4);
	r.rp = r.wp = UINT32_MAX - 1;
	r.begun = true; /* or it would begin anew */
	for (int32_t round = 0; round < 5; round++) {
		for (int32_t i = 0; i < 4; i++)
			put(&r, round * 4 + i);
		assert_true(ring_is_full(&r));
		for (int32_t i = 0; i < 4; i++) {
			assert_int_equal(first(&r), round * 4 + i);
			ring_get_adv(&r);
		}
		assert_int_equal(ring_count(&r), 0);
	}
	ring_fini(&r);
}

/* The sanitizers say whether a body is left behind. */
static void the_end_frees_the_bodies_of_what_was_not_answered(void **state)
{
	struct packet *p;
	struct ring r;

	(void)state;
	ring_init(&r, 4);
	put(&r, 1);
	put(&r, 2);
	assert_int_equal(ring_set(&r, &p), 0);
	assert_int_equal(packet_set_body(p, "half", 4), 0);
	ring_fini(&r);
	assert_null(r.rest);
}

static void the_end_of_a_full_ring_frees_each_body_once(void **state)
{
	struct ring r;

	(void)state;
	ring_init(&r, 2);
	put(&r, 1);
	put(&r, 2);
	ring_fini(&r);
	assert_null(r.rest);
}

#define ring_test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ring_test(the_size_is_rounded_up_to_a_power_of_two),
		ring_test(one_packet_at_a_time_needs_no_memory),
		ring_test(without_memory_there_is_no_second_slot),
		ring_test(a_ring_that_is_empty_again_gives_its_memory_back),
		ring_test(a_slot_that_was_set_stays_where_it_is),
		ring_test(an_empty_ring_gives_nothing),
		ring_test(a_slot_that_was_set_but_not_advanced_is_not_given),
		ring_test(packets_come_out_in_the_order_they_went_in),
		ring_test(a_full_ring_takes_no_more_until_one_was_answered),
		ring_test(an_answered_packet_loses_its_body),
		ring_test(the_counters_may_wrap_around),
		ring_test(the_end_frees_the_bodies_of_what_was_not_answered),
		ring_test(the_end_of_a_full_ring_frees_each_body_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
