/* Tests of comet/tally. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "comet/tally.h"
#include "tests/unit/seam.h"

static struct tally_table table;

static int set_up(void **state)
{
	(void)state;
	tally_table_init(&table);
	return 0;
}

/* The table's end is a BUG unless every tally was put back. */
static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	tally_table_fini(&table);
	return 0;
}

static struct tally *get(const char *room)
{
	struct tally *tally = tally_get(&table, room);

	assert_non_null(tally);
	return tally;
}

static void report(void)
{
	struct wire_room_count *rooms;
	size_t n;

	assert_int_equal(tally_report(&table, &rooms, &n), 0);
	tally_report_free(rooms, n);
}

static void rooms_of_one_id_share_one_tally(void **state)
{
	struct tally *a = get("live://1"), *b = get("live://2");

	(void)state;
	assert_ptr_equal(get("live://1"), a);
	assert_ptr_not_equal(a, b);
	tally_put(&table, a);
	assert_ptr_equal(get("live://1"), a);
	tally_put(&table, a);
	tally_put(&table, a);
	tally_put(&table, b);
	assert_int_equal(table.map.count, 0);
}

static void without_memory_there_is_no_tally_and_nothing_left(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 4; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_null(tally_get(&table, "live://1"));
		assert_int_equal(table.map.count, 0);
	}
	seam_reset();
	tally_put(&table, get("live://1"));
}

static void a_report_counts_those_who_are_here(void **state)
{
	struct tally *a = get("a"), *b = get("b");
	struct wire_room_count *rooms;
	size_t n;

	(void)state;
	atomic_store(&a->here, 3);
	atomic_store(&b->here, 5);
	assert_int_equal(tally_report(&table, &rooms, &n), 0);
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(rooms[i].count, strcmp(rooms[i].room, "a") == 0 ? 3 : 5);
	tally_report_free(rooms, n);
	tally_put(&table, a);
	tally_put(&table, b);
}

static void a_report_of_no_rooms_is_an_empty_list(void **state)
{
	struct wire_room_count *rooms;
	size_t n = 7;

	(void)state;
	assert_int_equal(tally_report(&table, &rooms, &n), 0);
	assert_int_equal(n, 0);
	tally_report_free(rooms, n);
}

static void a_report_without_memory_leaves_nothing(void **state)
{
	struct tally *a = get("a"), *b = get("b");
	struct wire_room_count *rooms;
	size_t n;

	(void)state;
	for (unsigned after = 0; after < 3; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(tally_report(&table, &rooms, &n), -ENOMEM);
		assert_null(rooms);
	}
	tally_put(&table, a);
	tally_put(&table, b);
}

/* Those who joined since the report are not counted twice, nor those who left taken from the others. */
static void who_is_elsewhere_is_what_logic_says_less_what_it_was_told(void **state)
{
	struct tally *a = get("a");

	(void)state;
	atomic_store(&a->here, 3);
	report();
	atomic_store(&a->here, 10);
	tally_told(&table, "a", 8);
	assert_int_equal(atomic_load(&a->elsewhere), 5);
	assert_int_equal(tally_online(a), 15);
	tally_put(&table, a);
}

static void a_count_below_what_logic_was_told_means_nobody_elsewhere(void **state)
{
	struct tally *a = get("a");

	(void)state;
	atomic_store(&a->here, 3);
	report();
	tally_told(&table, "a", 1);
	assert_int_equal(tally_online(a), 3);
	tally_put(&table, a);
}

static void a_count_beyond_all_people_does_not_overflow(void **state)
{
	struct tally *a = get("a");

	(void)state;
	atomic_store(&a->here, 3);
	report();
	tally_told(&table, "a", INT64_MAX);
	assert_int_equal(tally_online(a), INT32_MAX);
	tally_told(&table, "a", INT64_MIN);
	assert_int_equal(tally_online(a), 3);
	tally_put(&table, a);
}

static void a_room_that_nobody_is_in_here_is_not_remembered(void **state)
{
	(void)state;
	tally_told(&table, "elsewhere", 100);
	assert_int_equal(table.map.count, 0);
}

static void a_room_that_logic_no_longer_names_has_nobody_elsewhere(void **state)
{
	struct tally *a = get("a"), *b = get("b");

	(void)state;
	report();
	tally_told(&table, "a", 4);
	tally_told(&table, "b", 4);
	tally_told_all(&table);
	assert_int_equal(tally_online(a), 4);
	report();
	tally_told(&table, "b", 5);
	/* Until logic has said all, the old count stands. */
	assert_int_equal(tally_online(a), 4);
	tally_told_all(&table);
	assert_int_equal(tally_online(a), 0);
	assert_int_equal(tally_online(b), 5);
	tally_put(&table, a);
	tally_put(&table, b);
}

static void *come_and_go(void *arg)
{
	static const char *const rooms[] = {"a", "b", "c"};

	(void)arg;
	for (unsigned i = 0; i < 3000; i++) {
		struct tally *tally = tally_get(&table, rooms[i % 3]);

		if (tally == NULL || strcmp(tally->id, rooms[i % 3]) != 0)
			abort();
		atomic_fetch_add(&tally->here, 1);
		if (tally_online(tally) < 1)
			abort();
		atomic_fetch_sub(&tally->here, 1);
		tally_put(&table, tally);
	}
	return NULL;
}

static void rooms_may_come_and_go_while_logic_is_told(void **state)
{
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
	for (int i = 0; i < 300; i++) {
		report();
		tally_told(&table, "a", 5);
		tally_told_all(&table);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(table.map.count, 0);
}

#define tally_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		tally_test(rooms_of_one_id_share_one_tally),
		tally_test(without_memory_there_is_no_tally_and_nothing_left),
		tally_test(a_report_counts_those_who_are_here),
		tally_test(a_report_of_no_rooms_is_an_empty_list),
		tally_test(a_report_without_memory_leaves_nothing),
		tally_test(who_is_elsewhere_is_what_logic_says_less_what_it_was_told),
		tally_test(a_count_below_what_logic_was_told_means_nobody_elsewhere),
		tally_test(a_count_beyond_all_people_does_not_overflow),
		tally_test(a_room_that_nobody_is_in_here_is_not_remembered),
		tally_test(a_room_that_logic_no_longer_names_has_nobody_elsewhere),
		tally_test(rooms_may_come_and_go_while_logic_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
