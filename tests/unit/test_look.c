/* Tests of comet/look. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "comet/look.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"

static struct stage stage;
static struct fake_transport peers[3];
static struct connection *c[3];

static bool none(void *arg, int32_t op)
{
	(void)arg;
	(void)op;
	return false;
}

/* "all" accepts all, "some" the first n of 1000, 1001 ..., "none" nothing. */
static int set_up(void **state)
{
	static const char *const keys[] = {"all", "some", "none"};

	(void)state;
	stage_set(&stage);
	stage_up(&stage);
	for (unsigned i = 0; i < 3; i++) {
		fake_init(&peers[i]);
		c[i] = stage_member(&stage, &peers[i], keys[i], i < 2 ? "live://1" : "");
		if (i > 0)
			channel_keep(&c[i]->channel, none, NULL);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	for (unsigned i = 0; i < 3; i++) {
		stage_leave(&stage, &c[i]);
		fake_fini(&peers[i]);
	}
	stage_down(&stage);
	return 0;
}

static void accept_first(struct connection *connection, int32_t n)
{
	for (int32_t op = 1000; op < 1000 + n; op++)
		assert_int_equal(channel_watch(&connection->channel, &op, 1, 100), 0);
}

static struct fate look(const char *const *keys, size_t n, int32_t op)
{
	struct wire_push push = {.target = WIRE_KEYS, .keys = keys, .n_keys = n};
	struct fate fate = {0};

	assert_int_equal(message_new(op, "x", 1, &push.message), 0);
	look_at(&stage.server, &push, &fate);
	message_unref(&push.message);
	assert_true(fate.knows_online && fate.knows_filters);
	return fate;
}

static void who_does_not_accept_the_operation_is_counted(void **state)
{
	static const char *const keys[] = {"nobody", "all", "some", "none"};
	struct fate fate;

	(void)state;
	accept_first(c[1], 2);
	fate = look(keys, 4, 1001);
	assert_int_equal(fate.online, 3);
	assert_int_equal(fate.filtered, 1);
	assert_int_equal(fate.n_accepts, 0);
	fate = look(keys, 4, 1002);
	assert_int_equal(fate.online, 3);
	assert_int_equal(fate.filtered, 2);
	assert_int_equal(fate.n_accepts, 2);
	assert_int_equal(fate.accepts[0], 1000);
	assert_int_equal(fate.accepts[1], 1001);
	fate = look(keys, 1, 1002);
	assert_int_equal(fate.online + fate.filtered, 0);
}

static void a_long_list_of_operations_is_cut(void **state)
{
	static const char *const keys[] = {"some"};
	struct fate fate;

	(void)state;
	accept_first(c[1], FATE_ACCEPTS + 3);
	fate = look(keys, 1, 5);
	assert_int_equal(fate.filtered, 1);
	assert_int_equal(fate.n_accepts, FATE_ACCEPTS + 3);
	assert_int_equal(fate.accepts[FATE_ACCEPTS - 1], 1000 + FATE_ACCEPTS - 1);
}

static void all_in_a_room_get_its_pushes(void **state)
{
	struct wire_push push = {.target = WIRE_ROOM, .room = "live://1"};
	struct fate fate = {0};

	(void)state;
	look_at(&stage.server, &push, &fate);
	assert_int_equal(fate.online, 2);
	assert_int_equal(fate.filtered, 0);
	push.room = "live://2";
	look_at(&stage.server, &push, &fate);
	assert_int_equal(fate.online, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_does_not_accept_the_operation_is_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_long_list_of_operations_is_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_in_a_room_get_its_pushes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
