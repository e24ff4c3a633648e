/* Tests of logic/unacked_memory: pushes that nobody confirms in time are told, once each. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/kept.h"
#include "logic/histories.h"
#include "logic/tidings.h"
#include "logic/unacked_memory.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

static struct config cfg;
static struct tidings tidings;
static struct unacked *u;
static uint64_t confirmed; /* of each user */
static uint64_t last;      /* event that was read */

static int read_confirmed(void *self, const char *name, struct acks *out)
{
	(void)self;
	assert_int_equal(name[0], KEPT_USER);
	*out = (struct acks){0};
	return confirmed > 0 ? acks_set(out, "phone", confirmed) : 0;
}

static const struct histories histories = {.confirmed = read_confirmed};

static void set(char **setting, const char *value)
{
	free(*setting);
	*setting = strdup(value);
}

static int set_up(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_SEC, INT64_C(1796000000000));
	assert_int_equal(config_init(&cfg), 0);
	set(&cfg.events_kinds, "online,unacked");
	cfg.events_length = 100;
	confirmed = last = 0;
	assert_int_equal(tidings_memory_new(&cfg, "c1", &tidings), 0);
	return unacked_new(&cfg, &histories, &tidings, &u);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	unacked_free(&u);
	tidings_memory_free(&tidings);
	config_fini(&cfg);
	return 0;
}

static void await(int64_t mid, uint64_t number, int64_t confirm_ms)
{
	unacked_await(u, &(struct user){.mid = mid}, number, confirm_ms);
}

/* The numbers of what was told since the last call, with blanks. */
static const char *told(void)
{
	static char text[4096];
	char after[24];
	const struct upstream_query query = {.after = after, .max = 1000};
	json_t *list, *one;
	size_t i, n = 0;

	(void)snprintf(after, sizeof(after), "%llu", (unsigned long long)last);
	text[0] = '\0';
	assert_int_equal(tidings_read(&tidings, &query, &list), 0);
	json_array_foreach(list, i, one)
	{
		assert_string_equal(json_string_value(json_object_get(one, "kind")), "unacked");
		assert_null(json_object_get(one, "key"));
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%lld:%lld", i > 0 ? " " : "",
				      json_integer_value(json_object_get(one, "mid")),
				      json_integer_value(json_object_get(one, "n")));
		last = strtoull(json_string_value(json_object_get(one, "id")), NULL, 10);
	}
	json_decref(list);
	return text;
}

static bool told_any(void)
{
	return told()[0] != '\0';
}

static const char *told_after(int64_t ms)
{
	seam_clock_advance(ms * CLOCK_MS);
	unacked_look(u);
	return told();
}

static void what_nobody_confirmed_is_told_when_it_is_due_and_once(void **state)
{
	(void)state;
	await(7, 12, 30000);
	await(8, 11, 10000);
	await(7, 13, 20000);
	assert_string_equal(told_after(9999), "");
	assert_string_equal(told_after(1), "8:11");
	assert_string_equal(told_after(20000), "7:13 7:12");
	assert_string_equal(told_after(100000), "");
}

static void what_some_device_confirmed_is_not_told(void **state)
{
	(void)state;
	await(7, 12, 1000);
	await(7, 13, 1000);
	confirmed = 12;
	assert_string_equal(told_after(1000), "7:13");
}

static void many_come_in_the_order_in_which_they_are_due(void **state)
{
	char text[4096];
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		await(7, 1000 + i * 37 % 100, 1000 + i * 37 % 100);
	for (unsigned i = 0; i < 100; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s7:%u", i > 0 ? " " : "", 1000 + i);
	assert_string_equal(told_after(2000), text);
}

static void of_too_many_that_wait_those_due_next_are_told_too_early(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 102; i++)
		await(7, 1000 + i, 60000 - i);
	assert_string_equal(told(), "7:1099 7:1100");
	confirmed = 5000;
	assert_string_equal(told_after(60000), "");
}

static void what_there_is_no_memory_for_is_told_at_once(void **state)
{
	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, 0);
	await(7, 12, 1000);
	assert_string_equal(told(), "7:12");
	seam_fail(SEAM_ALLOC, 1, 1, 0);
	await(7, 13, 1000);
	assert_string_equal(told(), "7:13");
	await(7, 14, 1000);
	assert_string_equal(told_after(1000), "7:14");
}

static void named_users_have_their_names(void **state)
{
	json_t *list;
	const struct upstream_query query = {.after = "0", .max = 10};

	(void)state;
	unacked_await(u, &(struct user){.name = "ann b"}, 12, 1000);
	seam_clock_advance(CLOCK_SEC);
	unacked_look(u);
	assert_int_equal(tidings_read(&tidings, &query, &list), 0);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "user")), "ann b");
	json_decref(list);
}

static void thread_looks_too(void **state)
{
	(void)state;
	seam_reset();
	await(7, 12, 1);
	assert_int_equal(unacked_start(u), 0);
	until(told_any());
	assert_string_equal(told(), "");
}

static void it_is_not_there_where_nobody_wants_it_or_without_memory(void **state)
{
	struct unacked *other;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, 0);
	assert_int_equal(unacked_new(&cfg, &histories, &tidings, &other), -ENOMEM);
	set(&cfg.events_kinds, "online");
	assert_int_equal(unacked_new(&cfg, &histories, &tidings, &other), 0);
	assert_null(other);
	unacked_free(&other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_nobody_confirmed_is_told_when_it_is_due_and_once),
		TEST(what_some_device_confirmed_is_not_told),
		TEST(many_come_in_the_order_in_which_they_are_due),
		TEST(of_too_many_that_wait_those_due_next_are_told_too_early),
		TEST(what_there_is_no_memory_for_is_told_at_once),
		TEST(named_users_have_their_names),
		TEST(thread_looks_too),
		TEST(it_is_not_there_where_nobody_wants_it_or_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
