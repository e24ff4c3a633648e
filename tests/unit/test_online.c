/* Tests of comet/online. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "comet/feed.h"
#include "comet/online.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"
#include "tests/unit/until.h"

#define HOUR_MS 3600000

static struct stage stage;
static struct fake_transport peers[2];
static struct connection *c[2];
static struct online *online;

static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	stage_up(&stage);
	for (unsigned i = 0; i < 2; i++) {
		fake_init(&peers[i]);
		c[i] = stage_member(&stage, &peers[i], i == 0 ? "zero" : "one", i == 0 ? "live://1" : "");
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (online != NULL)
		online_stop(&online);
	seam_reset();
	for (unsigned i = 0; i < 2; i++) {
		stage_leave(&stage, &c[i]);
		fake_fini(&peers[i]);
	}
	stage_down(&stage);
	return 0;
}

static unsigned renewed(void)
{
	return atomic_load(&stage.logic.renewed);
}

static void start(int64_t interval_ms, bool only_changes)
{
	assert_int_equal(online_start(&stage.server, interval_ms, only_changes, &online), 0);
}

/* One more connection from one address. */
static void enter(void)
{
	enum ticket ticket;

	assert_int_equal(admission_enter(&stage.server.admission, &peers[0].peer.any, false, &ticket), CLOSE_NONE);
}

static void leave(void)
{
	enum ticket ticket = TICKET_HANDSHAKE;

	admission_leave(&stage.server.admission, &peers[0].peer.any, &ticket);
}

static atomic_uint confirms;

static void resume_empty(void *self, struct resume *all, size_t n, int64_t deadline_ns)
{
	(void)self, (void)deadline_ns;
	for (size_t i = 0; i < n; i++)
		all[i].newest = 10;
}

/* The first time it cannot. */
static int confirm(void *self, const struct acks_of *all, size_t n, int64_t deadline_ns)
{
	(void)self, (void)deadline_ns;
	assert_int_equal(n, 1);
	assert_int_equal(acks_get(&all[0].acks, "phone"), 7);
	return atomic_fetch_add(&confirms, 1) == 0 ? -ERR_NO_LOGIC : 0;
}

/* No connection is left then, and those that have ended did not all wait for it. */
static void what_was_confirmed_is_told_at_the_end_at_the_latest(void **state)
{
	struct feed_asked asked = {.room = "chat://1"};
	struct feeds *feeds = &stage.server.feeds;

	(void)state;
	assert_int_equal(kept_parse("chat:5/10m", "", &feeds->kept), 0);
	stage.server.logic.resume = resume_empty;
	stage.server.logic.confirm = confirm;
	feed_hold(feeds, &asked, 1, clock_now_ns() + CLOCK_SEC);
	assert_int_equal(asked.rc, 0);
	feed_confirm(feeds, asked.feed, "phone", 7);
	start(HOUR_MS, true);
	until(atomic_load(&confirms) == 1);
	online_stop(&online);
	assert_int_equal(atomic_load(&confirms), 2);
	feed_release(feeds, &asked.feed);
}

static void logic_is_told_the_rooms_and_the_load_at_once(void **state)
{
	(void)state;
	enter();
	enter();
	start(HOUR_MS, true);
	until(renewed() == 1);
	online_stop(&online);
	assert_int_equal(stage.logic.load.connections, 2);
	assert_int_equal(stage.logic.load.addresses, 1);
	assert_int_equal(stage.logic.n_rooms, 1);
	assert_string_equal(stage.logic.room, "live://1");
	assert_int_equal(stage.logic.room_count, 1);
	leave();
	leave();
}

static void logic_is_told_again_and_again(void **state)
{
	(void)state;
	start(1, false);
	until(renewed() > 3);
}

static void while_nothing_changes_logic_is_left_alone(void **state)
{
	(void)state;
	start(1, true);
	until(renewed() == 1);
	/* A join is a change. */
	assert_int_equal(bucket_change_room(server_bucket(&stage.server, "one"), &c[1]->place, "live://1"), 0);
	until(renewed() == 2);
	/* So is a connection that is in no room. */
	enter();
	until(renewed() == 3);
	leave();
	until(renewed() == 4);
	/* However many intervals pass, nothing more is told. */
	for (int i = 0; i < 20; i++)
		(void)until_is_late(&(struct timespec){0});
	assert_int_equal(renewed(), 4);
}

static void the_counts_of_all_servers_come_back(void **state)
{
	(void)state;
	stage.logic.told_count = 42;
	start(1, false);
	until(tally_online(c[0]->place.room->tally) == 42);
	/* When logic no longer names the room, nobody is elsewhere. */
	(void)pthread_mutex_lock(&stage.logic.mutex);
	stage.logic.told_count = 0;
	(void)pthread_mutex_unlock(&stage.logic.mutex);
	until(tally_online(c[0]->place.room->tally) == 1);
}

static void what_logic_did_not_take_is_counted_and_told_again(void **state)
{
	int64_t before = counters_read(COUNT_LOGIC_FAILED);

	(void)state;
	stage.logic.renew_rc = -ERR_NO_LOGIC;
	start(1, true);
	/* Nothing changes, and still it is told anew, since nobody heard. */
	until(renewed() > 3);
	assert_true(counters_read(COUNT_LOGIC_FAILED) >= before + 3);
}

static void without_memory_for_the_report_it_is_counted_and_told_later(void **state)
{
	int64_t before = counters_read(COUNT_LOGIC_FAILED);

	(void)state;
	/* The first two are its own and its thread's. */
	seam_fail(SEAM_ALLOC, 2, 2, ENOMEM);
	start(1, true);
	until(renewed() == 1);
	assert_int_equal(counters_read(COUNT_LOGIC_FAILED), before + 2);
}

static bool has_noted_a_room(void)
{
	struct counters_text text = {0};
	bool noted;

	assert_int_equal(chronicle_expose(stage.server.chronicle, false, 300, &text), 0);
	noted = strstr(text.text, "\"rooms\":[1") != NULL;
	free(text.text);
	return noted;
}

static void each_second_is_noted_however_seldom_logic_is_told(void **state)
{
	(void)state;
	start(HOUR_MS, true);
	until(has_noted_a_room());
	assert_int_equal(renewed(), 1);
}

static void without_memory_or_threads_it_does_not_start(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 2; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(online_start(&stage.server, HOUR_MS, true, &online), -ENOMEM);
	}
	seam_reset();
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(online_start(&stage.server, HOUR_MS, true, &online), -EAGAIN);
	assert_null(online);
}

#define online_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		online_test(logic_is_told_the_rooms_and_the_load_at_once),
		online_test(what_was_confirmed_is_told_at_the_end_at_the_latest),
		online_test(logic_is_told_again_and_again),
		online_test(while_nothing_changes_logic_is_left_alone),
		online_test(the_counts_of_all_servers_come_back),
		online_test(what_logic_did_not_take_is_counted_and_told_again),
		online_test(without_memory_for_the_report_it_is_counted_and_told_later),
		online_test(each_second_is_noted_however_seldom_logic_is_told),
		online_test(without_memory_or_threads_it_does_not_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
