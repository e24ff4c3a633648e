/* Tests of comet/bucket. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "comet/bucket.h"
#include "tests/unit/fake_transport.h"
#include "tests/unit/seam.h"

#define MEMBERS 4

static const struct channel_options small = {.ring_size = 1, .queue_max = 4};
static struct tally_table tallies;
static struct bucket bucket;
static struct fake_transport peers[MEMBERS];
static struct connection *c[MEMBERS];

/* c[0] to c[2] have one key and the sessions 0, 10, 20; c[3] has a key of its own. */
static int set_up(void **state)
{
	(void)state;
	tally_table_init(&tallies);
	bucket_init(&bucket, &tallies);
	for (unsigned i = 0; i < MEMBERS; i++) {
		fake_init(&peers[i]);
		c[i] = fake_connection(&peers[i], i < 3 ? "key" : "other", i * 10, &small);
	}
	return 0;
}

/* The bucket's end, and the tallies', is a BUG unless all has left. */
static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	for (unsigned i = 0; i < MEMBERS; i++) {
		assert_int_equal(atomic_load(&c[i]->refs), 1);
		connection_unref(&c[i]);
		fake_fini(&peers[i]);
	}
	bucket_fini(&bucket);
	tally_table_fini(&tallies);
	return 0;
}

static void put_alone(struct connection *one, const char *room)
{
	struct connection *replaced = one;

	assert_int_equal(bucket_put(&bucket, one, room, &replaced), 0);
	assert_null(replaced);
}

/* Who is there under this key; borrowed. */
static const struct connection *there(const char *key)
{
	struct connection *found = bucket_get(&bucket, key);
	const struct connection *who = found;

	if (found != NULL)
		connection_unref(&found);
	return who;
}

static size_t members_of(const char *room_id)
{
	struct room *r = bucket_room(&bucket, room_id);
	size_t n = 0;

	if (r != NULL) {
		n = r->count;
		room_unref(&r);
	}
	return n;
}

/* ---- keys ---- */

static void what_was_put_is_found_until_it_is_deleted(void **state)
{
	(void)state;
	assert_null(there("key"));
	put_alone(c[0], NULL);
	put_alone(c[3], "");
	assert_ptr_equal(there("key"), c[0]);
	assert_ptr_equal(there("other"), c[3]);
	assert_true(bucket_del(&bucket, c[0]));
	assert_null(there("key"));
	assert_false(bucket_del(&bucket, c[0]));
	assert_true(bucket_del(&bucket, c[3]));
}

static void what_is_found_comes_with_a_reference(void **state)
{
	struct connection *found;

	(void)state;
	put_alone(c[0], NULL);
	found = bucket_get(&bucket, "key");
	assert_int_equal(atomic_load(&c[0]->refs), 2);
	connection_unref(&found);
	assert_true(bucket_del(&bucket, c[0]));
}

static void a_newer_session_replaces_the_older(void **state)
{
	struct connection *replaced;

	(void)state;
	put_alone(c[1], "live://1");
	assert_int_equal(bucket_put(&bucket, c[2], "live://1", &replaced), 0);
	assert_ptr_equal(replaced, c[1]);
	assert_int_equal(atomic_load(&c[1]->refs), 2);
	connection_unref(&replaced);
	assert_ptr_equal(there("key"), c[2]);
	(void)bucket_del(&bucket, c[1]);
	(void)bucket_del(&bucket, c[2]);
}

static void an_older_session_that_arrives_late_does_not_come_in(void **state)
{
	struct connection *replaced = c[3];

	(void)state;
	put_alone(c[2], NULL);
	assert_int_equal(bucket_put(&bucket, c[1], "live://1", &replaced), -EEXIST);
	assert_null(replaced);
	assert_ptr_equal(there("key"), c[2]);
	assert_int_equal(members_of("live://1"), 0);
	assert_false(bucket_del(&bucket, c[1]));
	assert_ptr_equal(there("key"), c[2]);
	(void)bucket_del(&bucket, c[2]);
}

static void where_logic_numbers_no_sessions_the_later_replaces(void **state)
{
	struct connection *replaced;

	(void)state;
	c[1]->seat.session_id = 0;
	put_alone(c[0], NULL);
	assert_int_equal(bucket_put(&bucket, c[1], NULL, &replaced), 0);
	assert_ptr_equal(replaced, c[0]);
	connection_unref(&replaced);
	assert_ptr_equal(there("key"), c[1]);
	(void)bucket_del(&bucket, c[1]);
}

/* The late end of one that was replaced must not take away who is there now. */
static void who_was_replaced_deletes_only_itself(void **state)
{
	struct connection *replaced;

	(void)state;
	put_alone(c[1], "live://1");
	assert_int_equal(bucket_put(&bucket, c[2], "live://1", &replaced), 0);
	connection_unref(&replaced);
	assert_int_equal(members_of("live://1"), 2);
	assert_false(bucket_del(&bucket, c[1]));
	assert_int_equal(members_of("live://1"), 1);
	assert_ptr_equal(there("key"), c[2]);
	assert_true(bucket_del(&bucket, c[2]));
	assert_int_equal(members_of("live://1"), 0);
}

/* ---- rooms ---- */

static void a_room_is_there_while_somebody_is_in_it(void **state)
{
	(void)state;
	put_alone(c[0], "live://1");
	put_alone(c[3], "live://1");
	assert_int_equal(members_of("live://1"), 2);
	(void)bucket_del(&bucket, c[0]);
	assert_int_equal(members_of("live://1"), 1);
	(void)bucket_del(&bucket, c[3]);
	assert_null(bucket_room(&bucket, "live://1"));
	assert_int_equal(bucket.rooms.count, 0);
}

static void changing_rooms_leaves_the_old_and_enters_the_new(void **state)
{
	(void)state;
	put_alone(c[0], "a");
	assert_int_equal(bucket_change_room(&bucket, &c[0]->place, "b"), 0);
	assert_int_equal(members_of("a"), 0);
	assert_int_equal(members_of("b"), 1);
	assert_int_equal(bucket_change_room(&bucket, &c[0]->place, "b"), 0);
	assert_int_equal(members_of("b"), 1);
	assert_int_equal(bucket_change_room(&bucket, &c[0]->place, ""), 0);
	assert_int_equal(members_of("b"), 0);
	assert_null(c[0]->place.room);
	assert_int_equal(bucket_change_room(&bucket, &c[0]->place, NULL), 0);
	assert_int_equal(bucket_change_room(&bucket, &c[0]->place, "a"), 0);
	assert_int_equal(members_of("a"), 1);
	(void)bucket_del(&bucket, c[0]);
	assert_int_equal(bucket.rooms.count, 0);
}

static void a_connection_may_be_in_several_rooms(void **state)
{
	struct membership second = {.connection = c[0]}, third = {.connection = c[0]};

	(void)state;
	put_alone(c[0], "a");
	put_alone(c[3], "c");
	assert_int_equal(bucket_change_room(&bucket, &second, "b"), 0);
	assert_int_equal(bucket_change_room(&bucket, &third, "c"), 0);
	assert_int_equal(members_of("b"), 1);
	assert_int_equal(members_of("c"), 2);
	bucket_leave(&bucket, &second);
	bucket_leave(&bucket, &second); /* of none: nothing happens */
	assert_null(second.room);
	assert_int_equal(members_of("a"), 1);
	assert_int_equal(members_of("b"), 0);
	bucket_leave(&bucket, &third);
	assert_int_equal(members_of("c"), 1);
	(void)bucket_del(&bucket, c[0]);
	(void)bucket_del(&bucket, c[3]);
}

/* A push may hold the room that the last one leaves; who joins then is in a room of that name all the same. */
static void a_room_that_a_push_still_holds_refuses_no_newcomer(void **state)
{
	struct room *held;

	(void)state;
	put_alone(c[0], "live://1");
	held = bucket_room(&bucket, "live://1");
	(void)bucket_del(&bucket, c[0]);
	put_alone(c[3], "live://1");
	assert_int_equal(members_of("live://1"), 1);
	assert_int_equal(tally_online(held->tally), 1); /* one tally for both */
	room_unref(&held);
	assert_int_equal(members_of("live://1"), 1);
	(void)bucket_del(&bucket, c[3]);
}

static void all_are_listed_with_a_reference_each(void **state)
{
	struct connections all = {0};

	(void)state;
	put_alone(c[0], NULL);
	put_alone(c[3], NULL);
	assert_int_equal(bucket_all(&bucket, &all), 0);
	assert_int_equal(all.n, 2);
	assert_int_equal(atomic_load(&c[0]->refs), 2);
	connections_drop(&all);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(bucket_all(&bucket, &all), -ENOMEM);
	assert_int_equal(all.n, 0);
	(void)bucket_del(&bucket, c[0]);
	(void)bucket_del(&bucket, c[3]);
}

/* ---- no memory ---- */

/* Whichever allocation fails, c is neither under its key nor in a room, and what was made on the way is gone. */
static void a_put_without_memory_leaves_no_trace(void **state)
{
	struct connection *replaced;
	unsigned after = 0;
	int rc;

	(void)state;
	for (;; after++) {
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = bucket_put(&bucket, c[0], "live://1", &replaced);
		if (seam_failed(SEAM_ALLOC) == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_null(replaced);
		assert_null(there("key"));
		assert_null(c[0]->place.room);
		assert_int_equal(bucket.rooms.count, 0);
	}
	assert_true(after > 5);
	assert_int_equal(rc, 0);
	(void)bucket_del(&bucket, c[0]);
}

static void a_change_of_room_without_memory_stays_where_it_was(void **state)
{
	unsigned after = 0;
	int rc;

	(void)state;
	put_alone(c[0], "a");
	for (;; after++) {
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = bucket_change_room(&bucket, &c[0]->place, "b");
		if (seam_failed(SEAM_ALLOC) == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(members_of("a"), 1);
		assert_int_equal(members_of("b"), 0);
	}
	assert_true(after > 3);
	assert_int_equal(rc, 0);
	assert_int_equal(members_of("b"), 1);
	(void)bucket_del(&bucket, c[0]);
}

/* ---- all at once ---- */

#define TURNS 1500

struct walker {
	pthread_t thread;
	struct connection *c;
};

/* The reader of one connection: in, about, and out again. With two of them the last leave races the other's join. */
static void *walk(void *arg)
{
	struct walker *w = arg;

	for (unsigned i = 0; i < TURNS; i++) {
		struct connection *replaced;

		if (bucket_put(&bucket, w->c, "a", &replaced) != 0 || replaced != NULL)
			abort();
		if (bucket_change_room(&bucket, &w->c->place, "b") != 0 ||
		    bucket_change_room(&bucket, &w->c->place, "a") != 0)
			abort();
		/* In which room it is, is no other's business: it must be found there. */
		if (strcmp(w->c->place.room->tally->id, "a") != 0 || tally_online(w->c->place.room->tally) < 1)
			abort();
		if (!bucket_del(&bucket, w->c))
			abort();
	}
	return NULL;
}

static void *look_in(void *arg)
{
	const atomic_bool *stop = arg;

	while (!atomic_load(stop)) {
		struct connections list = {0};
		struct connection *one = bucket_get(&bucket, "key");
		struct room *r = bucket_room(&bucket, "a");
		struct members members;

		if (r != NULL) {
			if (room_members(r, &members) < 0)
				abort();
			room_unref(&r);
			members_drop(&members);
		}
		if (bucket_all(&bucket, &list) < 0)
			abort();
		connections_drop(&list);
		if (one != NULL)
			connection_unref(&one);
	}
	return NULL;
}

static void a_last_leave_may_race_a_join(void **state)
{
	static atomic_bool stop;
	struct walker walkers[2] = {{.c = c[0]}, {.c = c[3]}};
	pthread_t onlooker;

	(void)state;
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&onlooker, NULL, look_in, &stop), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&walkers[i].thread, NULL, walk, &walkers[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(walkers[i].thread, NULL), 0);
	atomic_store(&stop, true);
	assert_int_equal(pthread_join(onlooker, NULL), 0);
	assert_int_equal(bucket.rooms.count, 0);
	assert_int_equal(tallies.map.count, 0);
}

struct rival {
	pthread_t thread;
	struct connection *c;
	int rc;
	struct connection *replaced;
};

static void *put_rival(void *arg)
{
	struct rival *r = arg;

	r->rc = bucket_put(&bucket, r->c, "live://1", &r->replaced);
	return NULL;
}

/* The same key from three connections at once: the newest is there at the end, each of the others was told. */
static void of_rivals_for_one_key_the_newest_survives(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct rival rivals[3];
		unsigned told = 0;

		for (unsigned i = 0; i < 3; i++)
			rivals[i] = (struct rival){.c = c[i]};
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(pthread_create(&rivals[i].thread, NULL, put_rival, &rivals[i]), 0);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(pthread_join(rivals[i].thread, NULL), 0);
		for (unsigned i = 0; i < 3; i++) {
			told += rivals[i].rc == -EEXIST;
			if (rivals[i].replaced != NULL) {
				told++;
				connection_unref(&rivals[i].replaced);
			}
		}
		assert_int_equal(told, 2);
		assert_ptr_equal(there("key"), c[2]);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(bucket_del(&bucket, c[i]), i == 2);
		assert_int_equal(bucket.rooms.count, 0);
	}
}

#define bucket_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		bucket_test(what_was_put_is_found_until_it_is_deleted),
		bucket_test(what_is_found_comes_with_a_reference),
		bucket_test(a_newer_session_replaces_the_older),
		bucket_test(an_older_session_that_arrives_late_does_not_come_in),
		bucket_test(where_logic_numbers_no_sessions_the_later_replaces),
		bucket_test(who_was_replaced_deletes_only_itself),
		bucket_test(a_room_is_there_while_somebody_is_in_it),
		bucket_test(changing_rooms_leaves_the_old_and_enters_the_new),
		bucket_test(a_connection_may_be_in_several_rooms),
		bucket_test(a_room_that_a_push_still_holds_refuses_no_newcomer),
		bucket_test(all_are_listed_with_a_reference_each),
		bucket_test(a_put_without_memory_leaves_no_trace),
		bucket_test(a_change_of_room_without_memory_stays_where_it_was),
		bucket_test(a_last_leave_may_race_a_join),
		bucket_test(of_rivals_for_one_key_the_newest_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
