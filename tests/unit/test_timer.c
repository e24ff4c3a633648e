/* Tests of comet/timer. The clock stands still, an hour ahead, so that no deadline comes up by itself: tick() moves it and
 * makes the thread look. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "comet/timer.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define ALARMS 200

struct alarm {
	struct timer_entry entry;
	atomic_uint fired;
	unsigned turn;     /* how many had fired before it, the last time */
	int64_t rearm_ns;  /* fire sets it again, for so much later */
	atomic_bool *hold; /* fire stays until this is false */
	atomic_bool in_fire;
};

static struct timer *timer;
static struct alarm alarms[ALARMS];
static struct alarm fence, poke;
static atomic_uint turns;
static int64_t start_ns;
static _Atomic long slept; /* how often the timer's thread had, when it fired last */

static void fire(struct timer_entry *e)
{
	struct alarm *a = (struct alarm *)(void *)e;
	struct rusage usage;

	atomic_store(&a->in_fire, true);
	while (a->hold != NULL && atomic_load(a->hold))
		(void)until_is_late(&(struct timespec){0});
	(void)getrusage(RUSAGE_THREAD, &usage);
	atomic_store(&slept, usage.ru_nvcsw);
	if (a->rearm_ns > 0)
		timer_set(e, clock_now_ns() + a->rearm_ns);
	if (a != &fence && a != &poke)
		a->turn = atomic_fetch_add(&turns, 1);
	atomic_store(&a->in_fire, false);
	atomic_fetch_add(&a->fired, 1);
}

static int set_up(void **state)
{
	(void)state;
	memset(alarms, 0, sizeof(alarms));
	atomic_store(&turns, 0);
	start_ns = clock_now_ns() + 3600 * CLOCK_SEC;
	seam_clock_set(start_ns, 0);
	return timer_new(fire, &timer);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	for (unsigned i = 0; i < ALARMS; i++)
		timer_del(&alarms[i].entry);
	timer_free(&timer);
	return 0;
}

static void add(unsigned i, int64_t after_ns)
{
	assert_int_equal(timer_add(timer, &alarms[i].entry, start_ns + after_ns), 0);
}

static unsigned fired(unsigned i)
{
	return atomic_load(&alarms[i].fired);
}

/* Move the clock; returns when all that is due by then has fired. */
static void tick(int64_t ns)
{
	seam_clock_advance(ns);
	memset(&fence, 0, sizeof(fence));
	memset(&poke, 0, sizeof(poke));
	/* What is due came up before this one ... */
	assert_int_equal(timer_add(timer, &fence.entry, clock_now_ns()), 0);
	/* ... and this one is the first for certain, so that the thread is woken. */
	assert_int_equal(timer_add(timer, &poke.entry, 1), 0);
	until(atomic_load(&fence.fired) == 1);
	timer_del(&fence.entry);
	timer_del(&poke.entry);
}

static void a_deadline_fires_once_when_it_has_passed_and_not_before(void **state)
{
	(void)state;
	add(0, 100);
	tick(99);
	assert_int_equal(fired(0), 0);
	tick(2);
	assert_int_equal(fired(0), 1);
	tick(CLOCK_SEC);
	assert_int_equal(fired(0), 1);
}

static void a_deadline_in_the_past_fires_at_once(void **state)
{
	(void)state;
	add(0, -1);
	until(fired(0) == 1);
}

static void deadlines_fire_in_their_order_whatever_the_order_of_adding(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ALARMS; i++)
		add(i, 1 + (int64_t)(i * 7919 % ALARMS));
	tick(ALARMS + 1);
	for (unsigned i = 0; i < ALARMS; i++) {
		assert_int_equal(fired(i), 1);
		assert_int_equal(alarms[i].turn, i * 7919 % ALARMS);
	}
}

static void what_is_deleted_does_not_fire_and_leaves_the_others_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ALARMS; i++)
		add(i, 1 + (int64_t)(i * 7919 % ALARMS));
	for (unsigned i = 0; i < ALARMS; i += 3)
		timer_del(&alarms[i].entry);
	tick(ALARMS + 1);
	for (unsigned i = 0, a = 0, last = 0; a < ALARMS; a++) {
		/* by deadline: the alarm whose turn it would be */
		for (i = 0; i * 7919 % ALARMS != a; i++)
			;
		assert_int_equal(fired(i), i % 3 != 0);
		if (i % 3 != 0)
			assert_int_equal(alarms[i].turn, last++);
	}
}

static void a_deadline_put_off_fires_at_the_later_time_only(void **state)
{
	(void)state;
	add(0, 100);
	add(1, 200);
	timer_set(&alarms[0].entry, start_ns + 300);
	tick(101);
	assert_int_equal(fired(0), 0);
	tick(100);
	assert_int_equal(fired(0), 0);
	assert_int_equal(fired(1), 1);
	tick(100);
	assert_int_equal(fired(0), 1);
}

/* That is what makes a heartbeat cheap. */
static void putting_off_does_not_touch_the_heap(void **state)
{
	int64_t filed;

	(void)state;
	add(0, 100);
	filed = alarms[0].entry.filed_ns;
	timer_set(&alarms[0].entry, start_ns + 300);
	assert_int_equal(alarms[0].entry.filed_ns, filed);
}

static void a_deadline_brought_forward_fires_at_the_earlier_time(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++)
		add(i, 1000 + i);
	timer_set(&alarms[17].entry, start_ns + 50);
	tick(51);
	assert_int_equal(fired(17), 1);
	assert_int_equal(atomic_load(&turns), 1);
}

/* Nothing else wakes the thread here. */
static void bringing_the_first_forward_wakes_the_thread(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		add(i, CLOCK_SEC);
		/* There is no telling that the thread sleeps again; after a moment it does, at least once in twenty. */
		(void)until_is_late(&(struct timespec){0});
		timer_set(&alarms[i].entry, start_ns - 1);
		until(fired(i) == 1);
	}
}

static void a_deadline_put_off_and_brought_back_fires_in_between(void **state)
{
	(void)state;
	add(0, 100);
	timer_set(&alarms[0].entry, start_ns + 1000);
	timer_set(&alarms[0].entry, start_ns + 500);
	tick(101);
	assert_int_equal(fired(0), 0);
	tick(400);
	assert_int_equal(fired(0), 1);
}

static void a_deadline_that_has_fired_may_be_set_again(void **state)
{
	(void)state;
	add(0, 100);
	tick(101);
	timer_set(&alarms[0].entry, start_ns + 200);
	tick(50);
	assert_int_equal(fired(0), 1);
	tick(50);
	assert_int_equal(fired(0), 2);
}

static void what_fires_may_set_itself_again(void **state)
{
	(void)state;
	alarms[0].rearm_ns = 100;
	add(0, 100);
	for (unsigned n = 1; n < 5; n++) {
		tick(101);
		assert_int_equal(fired(0), n);
	}
}

static void setting_what_was_deleted_does_nothing(void **state)
{
	(void)state;
	add(0, 100);
	timer_del(&alarms[0].entry);
	timer_del(&alarms[0].entry);
	timer_set(&alarms[0].entry, start_ns + 50);
	timer_set(&alarms[0].entry, start_ns + 150);
	tick(1000);
	assert_int_equal(fired(0), 0);
}

static void deleting_what_was_never_added_does_nothing(void **state)
{
	(void)state;
	timer_del(&alarms[0].entry);
	assert_null(alarms[0].entry.timer);
}

static void *delete_first(void *arg)
{
	timer_del(&alarms[0].entry);
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

static void deleting_waits_until_fire_has_returned(void **state)
{
	static atomic_bool hold, deleted;
	pthread_t deleter;

	(void)state;
	atomic_store(&hold, true);
	atomic_store(&deleted, false);
	alarms[0].hold = &hold;
	alarms[0].rearm_ns = 100; /* fire files it again: the delete must see that, too */
	add(0, -1);
	until(atomic_load(&alarms[0].in_fire));
	assert_int_equal(pthread_create(&deleter, NULL, delete_first, &deleted), 0);
	/* There is no telling that it waits; only that it is not through, however long the others take. */
	for (int i = 0; i < 20; i++) {
		(void)until_is_late(&(struct timespec){0});
		assert_false(atomic_load(&deleted));
	}
	atomic_store(&hold, false);
	assert_int_equal(pthread_join(deleter, NULL), 0);
	assert_int_equal(fired(0), 1);
	tick(1000);
	assert_int_equal(fired(0), 1);
}

static void without_memory_nothing_is_filed_and_a_later_add_works(void **state)
{
	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(timer_add(timer, &alarms[0].entry, start_ns + 1), -ENOMEM);
	assert_null(alarms[0].entry.timer);
	add(0, 1);
	tick(2);
	assert_int_equal(fired(0), 1);
}

static void without_memory_or_threads_there_is_no_timer(void **state)
{
	struct timer *t = NULL;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(timer_new(fire, &t), -ENOMEM);
	seam_fail(SEAM_ALLOC, 1, 1, ENOMEM);
	assert_int_equal(timer_new(fire, &t), -ENOMEM);
	seam_fail(SEAM_ALLOC, 0, 0, 0);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(timer_new(fire, &t), -EAGAIN);
	assert_null(t);
}

/* ---- all at once ---- */

#define MEDDLERS 3
#define ROUNDS   300

static void *meddle(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	struct alarm *mine = &alarms[seed * 10];

	/* On a busy machine the timer may get its first turn late: the run of the whole program has a deadline. */
	for (unsigned round = 0; round < ROUNDS || atomic_load(&turns) == 0; round++) {
		for (unsigned i = 0; i < 10; i++)
			if (timer_add(timer, &mine[i].entry, clock_now_ns() + (int64_t)(rand_r(&seed) % 100000)) < 0)
				abort();
		for (unsigned i = 0; i < 30; i++)
			timer_set(&mine[rand_r(&seed) % 10].entry,
				  clock_now_ns() + (int64_t)(rand_r(&seed) % 200000) - 50000);
		for (unsigned i = 0; i < 10; i++) {
			unsigned before;

			timer_del(&mine[i].entry);
			before = atomic_load(&mine[i].fired);
			/* What belongs to a deleted entry may be used as one likes: no fire comes any more. */
			mine[i].turn = 0;
			if (atomic_load(&mine[i].in_fire) || atomic_load(&mine[i].fired) != before)
				abort();
		}
	}
	return NULL;
}

static void threads_may_add_set_and_delete_while_others_fire(void **state)
{
	pthread_t threads[MEDDLERS];

	(void)state;
	seam_reset(); /* with the real clock */
	for (uintptr_t i = 0; i < MEDDLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, meddle, (void *)i), 0);
	for (unsigned i = 0; i < MEDDLERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(atomic_load(&turns) > 0);
}

/* Clients that came in one after the other would have the thread wake up for each of them. */
static void deadlines_close_to_each_other_come_up_together(void **state)
{
	long before;

	(void)state;
	seam_reset(); /* with the real clock */
	add(0, clock_now_ns() - start_ns);
	until(fired(0) == 1);
	before = atomic_load(&slept);
	for (unsigned i = 1; i < ALARMS; i++)
		add(i, clock_now_ns() - start_ns + 20 * CLOCK_MS + i * CLOCK_MS / 10);
	until(atomic_load(&turns) == ALARMS);
	assert_true(atomic_load(&slept) - before < ALARMS / 4);
}

#define timer_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		timer_test(a_deadline_fires_once_when_it_has_passed_and_not_before),
		timer_test(a_deadline_in_the_past_fires_at_once),
		timer_test(deadlines_fire_in_their_order_whatever_the_order_of_adding),
		timer_test(what_is_deleted_does_not_fire_and_leaves_the_others_in_order),
		timer_test(a_deadline_put_off_fires_at_the_later_time_only),
		timer_test(putting_off_does_not_touch_the_heap),
		timer_test(a_deadline_brought_forward_fires_at_the_earlier_time),
		timer_test(bringing_the_first_forward_wakes_the_thread),
		timer_test(a_deadline_put_off_and_brought_back_fires_in_between),
		timer_test(a_deadline_that_has_fired_may_be_set_again),
		timer_test(what_fires_may_set_itself_again),
		timer_test(setting_what_was_deleted_does_nothing),
		timer_test(deleting_what_was_never_added_does_nothing),
		timer_test(deleting_waits_until_fire_has_returned),
		timer_test(without_memory_nothing_is_filed_and_a_later_add_works),
		timer_test(without_memory_or_threads_there_is_no_timer),
		timer_test(threads_may_add_set_and_delete_while_others_fire),
		timer_test(deadlines_close_to_each_other_come_up_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
