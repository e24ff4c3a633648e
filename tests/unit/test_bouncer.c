/* Tests of comet/bouncer. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>

#include "comet/bouncer.h"
#include "common/base/clock.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"
#include "tests/unit/until.h"

static struct stage stage;
static struct fake_transport transports[3];
static struct connection *member[3];

static int set_up(void **state)
{
	(void)state;
	stage_set(&stage);
	stage_up(&stage);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const keys[] = {"a", "b", "c"};

		fake_init(&transports[i]);
		member[i] = stage_member(&stage, &transports[i], keys[i], "");
		member[i]->seat.user.mid = i;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		stage_leave(&stage, &member[i]);
		fake_fini(&transports[i]);
	}
	stage_down(&stage);
	seam_reset();
	return 0;
}

static void ban(enum ban_kind kind, const char *name, int64_t before_s)
{
	const struct ban one = {
		.kind = kind, .name = name, .stamp = 1, .until_ms = clock_wall_ms() + 3600000, .before_s = before_s};

	assert_int_equal(bans_take(stage.server.bans, &one, 1, 0, NULL), 0);
}

static enum close_reason reason_of(unsigned i)
{
	return atomic_load(&member[i]->reason);
}

static void who_is_not_banned_stays(void **state)
{
	(void)state;
	ban(BAN_USER, "7", 0);
	ban(BAN_KEY, "2", 0);
	for (unsigned i = 0; i < 3; i++)
		assert_true(bouncer_lets_stay(&stage.server, member[i]));
}

static void who_is_banned_is_ended_by_user_and_key(void **state)
{
	(void)state;
	ban(BAN_USER, "1", 0);
	ban(BAN_KEY, "c", 0);
	assert_true(bouncer_lets_stay(&stage.server, member[0]));
	assert_false(bouncer_lets_stay(&stage.server, member[1]));
	assert_false(bouncer_lets_stay(&stage.server, member[2]));
	assert_int_equal(reason_of(0), CLOSE_NONE);
	assert_int_equal(reason_of(1), CLOSE_BANNED);
	assert_int_equal(reason_of(2), CLOSE_BANNED);
}

static void nobody_is_no_user(void **state)
{
	(void)state;
	ban(BAN_USER, "0", 0);
	assert_true(bouncer_lets_stay(&stage.server, member[0]));
}

static void a_token_that_was_taken_back_ends_its_connection(void **state)
{
	(void)state;
	atomic_store(&member[1]->issued_s, 100);
	atomic_store(&member[2]->issued_s, 99);
	ban(BAN_TOKENS, "1", 100);
	ban(BAN_TOKENS, "2", 100);
	assert_true(bouncer_lets_stay(&stage.server, member[1]));
	assert_false(bouncer_lets_stay(&stage.server, member[2]));
	assert_int_equal(reason_of(2), CLOSE_REVOKED);
}

static void come_from(unsigned i, const char *address)
{
	transports[i].peer.v4 = (struct sockaddr_in){.sin_family = AF_INET};
	assert_int_equal(inet_pton(AF_INET, address, &transports[i].peer.v4.sin_addr), 1);
}

static void who_comes_from_a_banned_network_does_not_get_to_logic(void **state)
{
	(void)state;
	come_from(0, "10.1.2.3");
	come_from(1, "10.2.2.3");
	ban(BAN_NETWORK, "10.1.0.0/16", 0);
	assert_false(bouncer_lets_ask(&stage.server, member[0]));
	assert_true(bouncer_lets_ask(&stage.server, member[1]));
	assert_int_equal(reason_of(0), CLOSE_BANNED);
	assert_non_null(member[0]->refusal);
}

static void a_ban_ends_those_who_are_in(void **state)
{
	static struct bouncer bouncer;

	(void)state;
	assert_int_equal(bouncer_start(&bouncer, &stage.server), 0);
	come_from(2, "10.1.2.3");
	ban(BAN_USER, "1", 0);
	ban(BAN_NETWORK, "10.1.2.3/32", 0);
	until(reason_of(1) == CLOSE_BANNED && reason_of(2) == CLOSE_BANNED);
	bouncer_stop(&bouncer);
	assert_int_equal(reason_of(0), CLOSE_NONE);
}

static void without_memory_the_walk_begins_again(void **state)
{
	static struct bouncer bouncer;

	(void)state;
	ban(BAN_USER, "1", 0);
	ban(BAN_USER, "2", 0);
	assert_int_equal(bouncer_start(&bouncer, &stage.server), 0);
	seam_fail(SEAM_ALLOC, 2, 2, ENOMEM); /* after the ban's own */
	ban(BAN_KEY, "nobody", 0);
	until(reason_of(1) == CLOSE_BANNED && reason_of(2) == CLOSE_BANNED);
	assert_true(seam_failed(SEAM_ALLOC) > 0);
	bouncer_stop(&bouncer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_is_not_banned_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_banned_is_ended_by_user_and_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_is_no_user, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_token_that_was_taken_back_ends_its_connection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_comes_from_a_banned_network_does_not_get_to_logic, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_ban_ends_those_who_are_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_the_walk_begins_again, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
