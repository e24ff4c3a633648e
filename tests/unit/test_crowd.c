/* Tests of logic/crowd, over a registry in memory. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "logic/crowd.h"
#include "tests/unit/seam.h"

static struct config cfg;
static struct registry registry;
static struct bus bus;
static const struct crowd crowd = {&cfg, &registry, &bus};
static uint64_t told[8]; /* sessions that are to go */
static unsigned n_told;
static int bus_rc;

static int on_bus(void *self, const char *server, const struct wire_push *push)
{
	(void)self;
	assert_string_equal(server, "s");
	assert_int_equal(push->target, WIRE_KICK);
	assert_int_equal(push->reason, WIRE_PER_USER);
	told[n_told++] = push->sessions[0];
	return bus_rc;
}

static int set_up(void **state)
{
	(void)state;
	n_told = 0;
	bus_rc = 0;
	if (config_init(&cfg) < 0)
		return -1;
	cfg.limits_per_user = 2;
	bus = (struct bus){.push = on_bus};
	return registry_memory_new(&registry);
}

static int tear_down(void **state)
{
	(void)state;
	registry_memory_free(&registry);
	config_fini(&cfg);
	seam_reset();
	return 0;
}

static struct seat come(const char *key, int64_t mid)
{
	struct seat seat = {.key = key, .user = {.mid = mid}};

	assert_int_equal(registry_put(&registry, "s", &seat, 0, NULL), 0);
	return seat;
}

static int admit(const struct seat *seat)
{
	char refusal[WIRE_TEXT_BYTES] = "";
	int rc = crowd_admit(&crowd, "s", seat, refusal);

	assert_int_equal(refusal[0] != '\0', rc < 0);
	return rc;
}

static size_t registered(int64_t mid)
{
	struct registry_found found;
	size_t n;

	assert_int_equal(registry_find_users(&registry, &(struct user){.mid = mid}, 1, &found), 0);
	n = found.n;
	registry_found_fini(&found);
	return n;
}

static void the_newest_is_refused_and_forgotten(void **state)
{
	struct seat seats[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		seats[i] = come((const char *const[]){"a", "b", "c"}[i], 7);
	assert_int_equal(admit(&seats[2]), -ERR_PER_USER);
	assert_int_equal(registered(7), 2);
	assert_int_equal(admit(&seats[1]), 0);
	assert_int_equal(n_told, 0);
}

static void of_some_at_once_the_first_stay_in_whichever_order_they_ask(void **state)
{
	struct seat seats[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		seats[i] = come((const char *const[]){"a", "b", "c"}[i], 7);
	assert_int_equal(admit(&seats[0]), 0);
	assert_int_equal(admit(&seats[1]), 0);
	assert_int_equal(admit(&seats[2]), -ERR_PER_USER);
}

static void the_oldest_have_to_go(void **state)
{
	struct seat seats[4];

	(void)state;
	cfg.limits_per_user_ends = CONFIG_PER_USER_OLDEST;
	for (unsigned i = 0; i < 4; i++)
		seats[i] = come((const char *const[]){"a", "b", "c", "d"}[i], 7);
	assert_int_equal(admit(&seats[3]), 0);
	assert_int_equal(n_told, 2);
	assert_true(told[0] == seats[0].session_id && told[1] == seats[1].session_id);
	bus_rc = -EAGAIN; /* and where one cannot be told, the newest is in all the same */
	assert_int_equal(admit(&seats[3]), 0);
}

static void nobody_is_no_user_and_no_limit_is_none(void **state)
{
	struct seat seats[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		seats[i] = come((const char *const[]){"a", "b", "c"}[i], 0);
	assert_int_equal(admit(&seats[2]), 0);
	cfg.limits_per_user = 0;
	for (unsigned i = 0; i < 3; i++)
		seats[i] = come((const char *const[]){"d", "e", "f"}[i], 7);
	assert_int_equal(admit(&seats[2]), 0);
}

static void who_cannot_be_counted_is_let_in(void **state)
{
	struct seat seats[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		seats[i] = come((const char *const[]){"a", "b", "c"}[i], 7);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(admit(&seats[2]), 0);
	assert_int_equal(seam_failed(SEAM_ALLOC), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_newest_is_refused_and_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(of_some_at_once_the_first_stay_in_whichever_order_they_ask, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_oldest_have_to_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_is_no_user_and_no_limit_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_cannot_be_counted_is_let_in, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
