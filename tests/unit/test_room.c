/* Tests of comet/room. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/room.h"
#include "common/base/counters.h"
#include "tests/unit/fake_transport.h"
#include "tests/unit/seam.h"

#define MEMBERS 4

static const struct channel_options small = {.ring_size = 1, .queue_max = 4};
static struct tally_table tallies;
static struct fake_transport peers[MEMBERS];
static struct connection *members[MEMBERS];

static int set_up(void **state)
{
	(void)state;
	tally_table_init(&tallies);
	for (unsigned i = 0; i < MEMBERS; i++) {
		fake_init(&peers[i]);
		members[i] = fake_connection(&peers[i], "key", i, &small);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	for (unsigned i = 0; i < MEMBERS; i++) {
		connection_unref(&members[i]);
		fake_fini(&peers[i]);
	}
	tally_table_fini(&tallies);
	return 0;
}

static struct room *room_of(const char *id)
{
	struct room *r;

	assert_int_equal(room_new(&tallies, id, &r), 0);
	return r;
}

static bool is_member(struct room *r, const struct connection *c)
{
	struct members list;
	bool found = false;

	assert_int_equal(room_members(r, &list), 0);
	for (size_t i = 0; i < list.n; i++)
		found |= list.all[i]->connection == c;
	members_drop(&list);
	return found;
}

static void a_room_counts_in_its_tally_and_in_the_metrics(void **state)
{
	int64_t rooms = counters_read(COUNT_ROOMS);
	unsigned changes = atomic_load(&tallies.changes);
	struct room *a = room_of("live://1"), *b = room_of("live://1");

	(void)state;
	assert_int_equal(counters_read(COUNT_ROOMS), rooms + 2);
	room_join(a, &members[0]->place);
	room_join(b, &members[1]->place);
	assert_int_equal(tally_online(a->tally), 2);
	assert_true(room_leave(a, &members[0]->place));
	assert_int_equal(tally_online(b->tally), 1);
	assert_true(room_leave(b, &members[1]->place));
	assert_int_equal(atomic_load(&tallies.changes), changes + 4);
	room_unref(&a);
	room_unref(&b);
	assert_null(a);
	assert_int_equal(counters_read(COUNT_ROOMS), rooms);
}

static void without_memory_there_is_no_room_and_nothing_left(void **state)
{
	struct room *r;

	(void)state;
	for (unsigned after = 0; after < 5; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(room_new(&tallies, "live://1", &r), -ENOMEM);
		assert_int_equal(tallies.map.count, 0);
	}
}

/* First, last or in the middle: whoever leaves leaves the others linked. For every order of leaving. */
static void members_leave_in_any_order(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 24; order++) {
		struct room *r = room_of("live://1");
		unsigned left[MEMBERS] = {0, 1, 2, 3}, rest = order;

		for (unsigned i = 0; i < MEMBERS; i++)
			room_join(r, &members[i]->place);
		for (unsigned n = MEMBERS; n > 0; n--) {
			unsigned pick = rest % n, who = left[pick];

			rest /= n;
			left[pick] = left[n - 1];
			assert_int_equal(room_leave(r, &members[who]->place), n == 1);
			assert_false(is_member(r, members[who]));
			for (unsigned i = 0; i + 1 < n; i++)
				assert_true(is_member(r, members[left[i]]));
		}
		room_unref(&r);
	}
}

static void members_are_listed_with_a_reference_each(void **state)
{
	struct room *r = room_of("live://1");
	struct members list;

	(void)state;
	for (unsigned i = 0; i < MEMBERS; i++)
		room_join(r, &members[i]->place);
	assert_int_equal(room_members(r, &list), 0);
	assert_int_equal(list.n, MEMBERS);
	for (unsigned i = 0; i < MEMBERS; i++)
		assert_int_equal(atomic_load(&members[i]->refs), 2);
	members_drop(&list);
	assert_int_equal(list.n, 0);
	assert_null(list.all);
	for (unsigned i = 0; i < MEMBERS; i++) {
		assert_int_equal(atomic_load(&members[i]->refs), 1);
		(void)room_leave(r, &members[i]->place);
	}
	room_unref(&r);
}

static void without_memory_nobody_is_listed_and_no_reference_left(void **state)
{
	struct room *r = room_of("live://1");
	struct members list;

	(void)state;
	room_join(r, &members[0]->place);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(room_members(r, &list), -ENOMEM);
	assert_int_equal(list.n, 0);
	assert_int_equal(atomic_load(&members[0]->refs), 1);
	members_drop(&list);
	(void)room_leave(r, &members[0]->place);
	room_unref(&r);
}

/* So no other room gets its address, and a membership that is free again is not taken for one of this room. */
static void a_list_holds_its_room_too(void **state)
{
	struct room *r = room_of("live://1");
	struct members list;

	(void)state;
	room_join(r, &members[0]->place);
	assert_int_equal(room_members(r, &list), 0);
	(void)room_leave(r, &members[0]->place);
	room_unref(&r);
	assert_string_equal(list.room->tally->id, "live://1");
	members_drop(&list);
	assert_null(list.room);
	assert_int_equal(tallies.map.count, 0);
}

static void an_empty_room_is_listed_as_empty(void **state)
{
	struct room *r = room_of("live://1");
	struct members list;

	(void)state;
	assert_int_equal(room_members(r, &list), 0);
	assert_int_equal(list.n, 0);
	members_drop(&list);
	room_unref(&r);
}

static void a_room_lives_until_its_last_reference_is_gone(void **state)
{
	struct room *r = room_of("live://1"), *held = room_ref(r);

	(void)state;
	room_unref(&r);
	assert_string_equal(held->tally->id, "live://1");
	room_unref(&held);
	assert_int_equal(tallies.map.count, 0);
}

#define room_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		room_test(a_room_counts_in_its_tally_and_in_the_metrics),
		room_test(without_memory_there_is_no_room_and_nothing_left),
		room_test(members_leave_in_any_order),
		room_test(members_are_listed_with_a_reference_each),
		room_test(without_memory_nobody_is_listed_and_no_reference_left),
		room_test(a_list_holds_its_room_too),
		room_test(an_empty_room_is_listed_as_empty),
		room_test(a_room_lives_until_its_last_reference_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
