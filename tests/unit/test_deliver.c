/* Tests of comet/deliver. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "comet/deliver.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"
#include "tests/unit/until.h"

static struct stage stage;
static struct fake_transport peers[2];
static struct connection *c[2];
static struct message *message;

static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	stage_up(&stage);
	for (unsigned i = 0; i < 2; i++) {
		fake_init(&peers[i]);
		c[i] = stage_member(&stage, &peers[i], i == 0 ? "zero" : "one", "");
	}
	return message_new(1000, "hello", 5, &message);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	for (unsigned i = 0; i < 2; i++) {
		stage_leave(&stage, &c[i]);
		fake_fini(&peers[i]);
	}
	assert_int_equal(atomic_load(&message->refs), 1);
	message_unref(&message);
	stage_down(&stage);
	return 0;
}

static int64_t dropped(enum drop_reason why)
{
	return counters_read_by(COUNT_DROPPED, why);
}

/* As if the dispatcher were at work: who delivers only queues. */
static void take_the_baton(void)
{
	assert_int_equal(channel_push(&c[0]->channel, message, false), 1);
}

static void fill_the_queue(void)
{
	take_the_baton();
	for (int i = 1; i < stage.cfg.protocol_svr_proto; i++)
		assert_int_equal(channel_push(&c[0]->channel, message, false), 0);
}

static void give_the_baton_back(bool all_written, bool stalled)
{
	struct haul h;

	assert_true(channel_take(&c[0]->channel, &h));
	h.messages_done = all_written ? h.n_messages : 0;
	channel_done_and_release(&c[0]->channel, &h, stalled);
}

static void a_message_is_written_at_once_where_the_dispatcher_sleeps(void **state)
{
	(void)state;
	deliver(&stage.server, c[0], message, true);
	assert_int_equal(fake_got(&peers[0]), 1);
	assert_int_equal(fake_packet(&peers[0], 0)->op, 1000);
	assert_string_equal(fake_packet(&peers[0], 0)->body, "hello");
}

static void a_message_is_queued_where_another_writes(void **state)
{
	(void)state;
	take_the_baton();
	deliver(&stage.server, c[0], message, true);
	assert_int_equal(fake_got(&peers[0]), 0);
	assert_int_equal(c[0]->channel.queue.count, 2);
}

static void what_is_not_accepted_is_counted_as_filtered(void **state)
{
	int64_t before = counters_read(COUNT_FILTERED);

	(void)state;
	c[0]->channel.accepts.all = false;
	deliver(&stage.server, c[0], message, true);
	assert_int_equal(fake_got(&peers[0]), 0);
	assert_int_equal(counters_read(COUNT_FILTERED), before + 1);
	/* To a room nothing is filtered. */
	deliver(&stage.server, c[0], message, false);
	assert_int_equal(fake_got(&peers[0]), 1);
}

static void what_comes_after_the_close_is_counted_as_dropped(void **state)
{
	int64_t before = dropped(DROP_CLOSED);

	(void)state;
	(void)connection_shutdown(c[0], CLOSE_KICKED);
	deliver(&stage.server, c[0], message, true);
	assert_int_equal(dropped(DROP_CLOSED), before + 1);
}

static void without_memory_to_queue_it_a_message_is_counted_as_dropped(void **state)
{
	int64_t before = dropped(DROP_NO_MEMORY);

	(void)state;
	take_the_baton();
	for (int i = 1; i < QUEUE_INLINE; i++)
		deliver(&stage.server, c[0], message, true);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	deliver(&stage.server, c[0], message, true);
	assert_int_equal(dropped(DROP_NO_MEMORY), before + 1);
	assert_false(connection_is_closing(c[0]));
}

/* ---- the full queue ---- */

static void a_consumer_too_slow_is_closed_with_that_reason(void **state)
{
	int64_t before = dropped(DROP_QUEUE_FULL);

	(void)state;
	fill_the_queue();
	give_the_baton_back(false, true);
	deliver(&stage.server, c[0], message, true);
	assert_int_equal(atomic_load(&c[0]->reason), CLOSE_SLOW_CONSUMER);
	assert_int_equal(dropped(DROP_QUEUE_FULL), before + 1);
}

static void where_the_policy_is_drop_only_the_message_is_lost(void **state)
{
	int64_t before = dropped(DROP_QUEUE_FULL);

	(void)state;
	stage.cfg.protocol_slow_consumer = CONFIG_SLOW_DROP;
	fill_the_queue();
	give_the_baton_back(false, true);
	deliver(&stage.server, c[0], message, true);
	deliver(&stage.server, c[0], message, true);
	assert_false(connection_is_closing(c[0]));
	assert_int_equal(dropped(DROP_QUEUE_FULL), before + 2);
	assert_int_equal(c[0]->channel.queue.count, stage.cfg.protocol_svr_proto);
}

static void *deliver_first(void *arg)
{
	deliver(&stage.server, c[0], message, true);
	return arg;
}

static unsigned waiting(void)
{
	unsigned n;

	lock_take(&c[0]->channel.lock);
	n = c[0]->channel.waiting;
	lock_drop(&c[0]->channel.lock);
	return n;
}

static void a_full_queue_waits_for_a_dispatcher_that_had_no_turn(void **state)
{
	pthread_t pusher;

	(void)state;
	fill_the_queue();
	/* The clock stands, an hour ahead: this wait has no end but space. */
	seam_clock_set(clock_now_ns() + 3600 * CLOCK_SEC, 0);
	assert_int_equal(pthread_create(&pusher, NULL, deliver_first, NULL), 0);
	until(waiting() == 1);
	give_the_baton_back(true, false);
	assert_int_equal(pthread_join(pusher, NULL), 0);
	assert_false(connection_is_closing(c[0]));
	assert_int_equal(fake_got(&peers[0]), 1);
}

static void a_dispatcher_that_gets_no_turn_for_long_counts_as_a_slow_consumer(void **state)
{
	(void)state;
	fill_the_queue();
	/* The clock stands, an hour back: this wait is over at once. */
	seam_clock_set(clock_now_ns() - 3600 * CLOCK_SEC, 0);
	deliver(&stage.server, c[0], message, true);
	assert_int_equal(atomic_load(&c[0]->reason), CLOSE_SLOW_CONSUMER);
}

/* ---- many ---- */

static void all_of_a_list_get_it_and_the_list_is_dropped(void **state)
{
	struct connections all = {0};

	(void)state;
	assert_int_equal(connections_reserve(&all, 2), 0);
	for (unsigned i = 0; i < 2; i++)
		connections_add(&all, c[i]);
	deliver_to_all(&stage.server, &all, &message, 1);
	assert_int_equal(all.n, 0);
	assert_null(all.all);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fake_got(&peers[i]), 1);
		assert_int_equal(atomic_load(&c[i]->refs), 1);
	}
}

static void several_messages_for_one_connection_go_out_in_one_write(void **state)
{
	struct message *const messages[] = {message, message, message};
	struct connections all = {0};

	(void)state;
	assert_int_equal(connections_reserve(&all, 1), 0);
	connections_add(&all, c[0]);
	deliver_to_all(&stage.server, &all, messages, 3);
	assert_int_equal(fake_got(&peers[0]), 3);
	assert_int_equal(peers[0].writes, 1);
}

/* One more than the queue holds: the first go out to make space, nobody is called slow. */
static void a_batch_larger_than_the_queue_is_no_slow_consumer(void **state)
{
	struct message *messages[HAUL_MESSAGES];
	const unsigned n = stage.server.connection.channel.queue_max + 1;
	struct connections all = {0};

	(void)state;
	assert_true(n <= HAUL_MESSAGES);
	for (unsigned i = 0; i < n; i++)
		messages[i] = message;
	assert_int_equal(connections_reserve(&all, 1), 0);
	connections_add(&all, c[0]);
	deliver_to_all(&stage.server, &all, messages, n);
	assert_int_equal(fake_got(&peers[0]), n);
	assert_false(connection_is_closing(c[0]));
}

/* ---- the members of a room ---- */

static struct room *enter(const char *id)
{
	assert_int_equal(bucket_change_room(server_bucket(&stage.server, c[0]->seat.key), &c[0]->place, id), 0);
	return bucket_room(server_bucket(&stage.server, c[0]->seat.key), id);
}

static void deliver_to(struct room **room)
{
	struct members list;

	assert_int_equal(room_members(*room, &list), 0);
	room_unref(room);
	deliver_to_members(&stage.server, &list, &message, 1);
	assert_null(list.all);
	assert_int_equal(atomic_load(&c[0]->refs), 1);
}

static void a_member_gets_what_it_has_not_subscribed_to(void **state)
{
	struct room *room = enter("live://1");

	(void)state;
	c[0]->channel.accepts.all = false;
	deliver_to(&room);
	assert_int_equal(fake_got(&peers[0]), 1);
	assert_int_equal(fake_got(&peers[1]), 0);
}

/* The list was made before: the connection has gone to another room, or waits for its history. */
static void who_has_left_the_room_or_is_deaf_gets_nothing_of_an_older_list(void **state)
{
	struct room *first = enter("live://1"), *second;
	int64_t before = counters_read(COUNT_FILTERED);
	struct members list, deaf;

	(void)state;
	assert_int_equal(room_members(first, &list), 0);
	room_unref(&first);
	second = enter("live://2");
	deliver_to_members(&stage.server, &list, &message, 1);
	assert_int_equal(fake_got(&peers[0]), 0);
	assert_int_equal(room_members(second, &deaf), 0);
	room_unref(&second);
	atomic_store(&c[0]->place.after, MEMBERSHIP_DEAF);
	deliver_to_members(&stage.server, &deaf, &message, 1);
	assert_int_equal(fake_got(&peers[0]), 0);
	assert_int_equal(counters_read(COUNT_FILTERED), before + 2);
}

#define deliver_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		deliver_test(a_message_is_written_at_once_where_the_dispatcher_sleeps),
		deliver_test(a_message_is_queued_where_another_writes),
		deliver_test(what_is_not_accepted_is_counted_as_filtered),
		deliver_test(what_comes_after_the_close_is_counted_as_dropped),
		deliver_test(without_memory_to_queue_it_a_message_is_counted_as_dropped),
		deliver_test(a_consumer_too_slow_is_closed_with_that_reason),
		deliver_test(where_the_policy_is_drop_only_the_message_is_lost),
		deliver_test(a_full_queue_waits_for_a_dispatcher_that_had_no_turn),
		deliver_test(a_dispatcher_that_gets_no_turn_for_long_counts_as_a_slow_consumer),
		deliver_test(all_of_a_list_get_it_and_the_list_is_dropped),
		deliver_test(several_messages_for_one_connection_go_out_in_one_write),
		deliver_test(a_member_gets_what_it_has_not_subscribed_to),
		deliver_test(who_has_left_the_room_or_is_deaf_gets_nothing_of_an_older_list),
		deliver_test(a_batch_larger_than_the_queue_is_no_slow_consumer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
