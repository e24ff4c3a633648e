/* Tests of common/base/chronicle. The clock is driven. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/chronicle.h"
#include "common/base/clock.h"
#include "tests/unit/seam.h"

#define START_NS (1000 * CLOCK_SEC)
#define START_MS INT64_C(1700000000000)

static const struct chronicle_figure figures[] = {{"held", false}, {"done", true}};
static struct chronicle *c;
static int64_t now[2]; /* held, done */

static int set_up(void **state)
{
	(void)state;
	seam_clock_set(START_NS, START_MS);
	memset(now, 0, sizeof(now));
	return chronicle_new(figures, 2, &c);
}

static int tear_down(void **state)
{
	(void)state;
	chronicle_free(&c);
	seam_reset();
	return 0;
}

/* A second later so many are held, and so many more are done. */
static void second(int64_t held, int64_t done)
{
	seam_clock_advance(CLOCK_SEC);
	now[0] = held;
	now[1] += done;
	chronicle_note(c, now);
}

static void seconds(unsigned n, int64_t held, int64_t done)
{
	for (unsigned i = 0; i < n; i++)
		second(held, done);
}

static json_t *told(bool by_minutes, unsigned steps)
{
	struct counters_text text = {0};
	json_t *all;

	assert_int_equal(chronicle_expose(c, by_minutes, steps, &text), 0);
	all = json_loadb(text.text, text.bytes, 0, NULL);
	free(text.text);
	assert_non_null(all);
	return all;
}

static int64_t number(const json_t *all, const char *name)
{
	return json_integer_value(json_object_get(all, name));
}

static const json_t *list(const json_t *all, const char *kind, const char *figure)
{
	return json_object_get(json_object_get(all, kind), figure);
}

/* -1: blank, or there is none. */
static int64_t at(const json_t *all, const char *kind, const char *figure, size_t i)
{
	const json_t *value = json_array_get(list(all, kind, figure), i);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

static void one_that_has_just_begun_has_no_steps(void **state)
{
	json_t *all = told(false, CHRONICLE_MINUTES);

	(void)state;
	assert_int_equal(json_array_size(list(all, "sum", "held")), 0);
	assert_int_equal(number(all, "since_ms"), START_MS);
	assert_int_equal(number(all, "to_ms"), START_MS);
	json_decref(all);
}

static void a_second_has_what_was_held_and_what_has_grown(void **state)
{
	json_t *all;

	(void)state;
	second(7, 100);
	second(5, 20);
	/* Not over yet. */
	seam_clock_advance(CLOCK_SEC / 2);
	now[1] += 1000;
	chronicle_note(c, now);
	assert_true(chronicle_due_ns(c) == START_NS + 3 * CLOCK_SEC);
	all = told(false, CHRONICLE_MINUTES);
	assert_int_equal(number(all, "step_s"), 1);
	assert_int_equal(json_array_size(list(all, "sum", "done")), 2);
	assert_int_equal(at(all, "sum", "held", 0), 7);
	assert_int_equal(at(all, "sum", "held", 1), 5);
	assert_int_equal(at(all, "sum", "done", 0), 100);
	assert_int_equal(at(all, "sum", "done", 1), 20);
	assert_int_equal(number(all, "to_ms"), START_MS + 2000);
	json_decref(all);
}

static void a_minute_is_the_sum_and_the_greatest_of_its_seconds(void **state)
{
	json_t *all;

	(void)state;
	seconds(59, 2, 10);
	second(30, 0);
	second(1, 3000); /* of the next minute */
	all = told(true, CHRONICLE_MINUTES);
	assert_int_equal(number(all, "step_s"), 60);
	assert_int_equal(json_array_size(list(all, "sum", "done")), 1);
	assert_int_equal(at(all, "sum", "held", 0), 148);
	assert_int_equal(at(all, "max", "held", 0), 30);
	assert_int_equal(at(all, "sum", "done", 0), 590);
	assert_int_equal(at(all, "max", "done", 0), 10);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(all, "seconds"), 0)), 60);
	assert_int_equal(number(all, "to_ms"), START_MS + 60000);
	json_decref(all);
}

static void old_steps_give_way_to_new_ones(void **state)
{
	json_t *all;

	(void)state;
	/* A day and two minutes. */
	for (unsigned i = 0; i < CHRONICLE_MINUTES + 2; i++)
		seconds(60, i, 1);
	all = told(true, CHRONICLE_MINUTES);
	assert_int_equal(json_array_size(list(all, "max", "held")), CHRONICLE_MINUTES);
	for (unsigned i = 0; i < CHRONICLE_MINUTES; i++)
		assert_int_equal(at(all, "max", "held", i), i + 2);
	json_decref(all);
	seconds(10, 9, 9);
	all = told(false, CHRONICLE_MINUTES);
	assert_int_equal(json_array_size(list(all, "sum", "held")), CHRONICLE_SECONDS);
	assert_int_equal(at(all, "sum", "done", CHRONICLE_SECONDS - 11), 1);
	assert_int_equal(at(all, "sum", "done", CHRONICLE_SECONDS - 10), 9);
	json_decref(all);
	all = told(false, 4);
	assert_int_equal(json_array_size(list(all, "sum", "held")), 4);
	assert_int_equal(at(all, "sum", "held", 3), 9);
	json_decref(all);
}

static void what_has_grown_over_a_few_seconds_is_shared_out(void **state)
{
	json_t *all;

	(void)state;
	second(1, 5);
	seam_clock_advance(2 * CLOCK_SEC);
	second(4, 10);
	all = told(false, 10);
	assert_int_equal(json_array_size(list(all, "sum", "done")), 4);
	assert_int_equal(at(all, "sum", "done", 1), 4);
	assert_int_equal(at(all, "sum", "done", 2), 3);
	assert_int_equal(at(all, "sum", "done", 3), 3);
	assert_int_equal(at(all, "sum", "held", 2), 4);
	json_decref(all);
}

static void a_time_in_which_nobody_noted_stays_blank(void **state)
{
	json_t *all;

	(void)state;
	seconds(50, 3, 2);
	seam_clock_advance(29 * CLOCK_SEC);
	second(3, 1000000);
	second(3, 7);
	all = told(false, 100);
	assert_int_equal(json_array_size(list(all, "sum", "done")), 81);
	assert_int_equal(at(all, "sum", "done", 49), 2);
	for (unsigned i = 50; i < 80; i++)
		assert_int_equal(at(all, "sum", "done", i), -1);
	assert_int_equal(at(all, "sum", "done", 80), 7);
	json_decref(all);
	all = told(true, 1);
	assert_int_equal(at(all, "sum", "done", 0), 100);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(all, "seconds"), 0)), 50);
	json_decref(all);
	/* Minutes of which nothing is known at all. */
	seam_clock_advance(200 * CLOCK_SEC);
	second(3, 1);
	all = told(true, 3);
	assert_int_equal(at(all, "sum", "done", 1), -1);
	assert_int_equal(at(all, "max", "held", 1), -1);
	json_decref(all);
}

static void a_figure_that_nobody_knows_is_blank_and_the_others_are_not(void **state)
{
	json_t *all;

	(void)state;
	seconds(30, 3, 2);
	for (unsigned i = 0; i < 10; i++) {
		seam_clock_advance(CLOCK_SEC);
		chronicle_note(c, (int64_t[]){i < 5 ? CHRONICLE_UNKNOWN : 3, CHRONICLE_UNKNOWN});
	}
	second(3, 1000000); /* nobody knows when */
	seconds(19, 3, 5);
	all = told(false, 100);
	assert_int_equal(at(all, "sum", "held", 29), 3);
	assert_int_equal(at(all, "sum", "held", 30), -1);
	assert_int_equal(at(all, "sum", "held", 35), 3);
	assert_int_equal(at(all, "sum", "done", 29), 2);
	for (unsigned i = 30; i < 41; i++)
		assert_int_equal(at(all, "sum", "done", i), -1);
	assert_int_equal(at(all, "sum", "done", 41), 5);
	json_decref(all);
	all = told(true, 1);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(all, "seconds"), 0)), 55);
	assert_int_equal(at(all, "sum", "held", 0), 3 * 55);
	assert_int_equal(at(all, "sum", "done", 0), (30 * 2 + 19 * 5) * 55 / 49);
	assert_int_equal(at(all, "max", "done", 0), 5);
	json_decref(all);
}

/* However far it jumps: steps are those of the other clock, and what time they were is told by the new one. */
static void a_wall_clock_that_jumps_moves_the_labels_alone(void **state)
{
	json_t *all;

	(void)state;
	seconds(10, 1, 1);
	seam_clock_set(START_NS + 10 * CLOCK_SEC, START_MS - 86400 * INT64_C(1000));
	seconds(10, 1, 1);
	all = told(false, 100);
	assert_int_equal(json_array_size(list(all, "sum", "done")), 20);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(at(all, "sum", "done", i), 1);
	assert_int_equal(number(all, "to_ms"), START_MS - 86400 * INT64_C(1000) + 10000);
	assert_int_equal(number(all, "since_ms"), number(all, "to_ms") - 20000);
	json_decref(all);
}

static void small_numbers_are_exact_and_large_ones_nearly(void **state)
{
	json_t *all;

	(void)state;
	for (int64_t i = 0; i <= 4096; i++) {
		second(i, 0);
		all = told(false, 1);
		assert_int_equal(at(all, "sum", "held", 0), i);
		json_decref(all);
	}
	for (int64_t i = 4097; i < INT64_C(1) << 42; i += i / 3) {
		second(i, 0);
		all = told(false, 1);
		assert_true(llabs(at(all, "sum", "held", 0) - i) <= i / 4096 + 1);
		json_decref(all);
	}
	/* More than fits is not less. */
	second(INT64_MAX, 0);
	second(-5, -5);
	all = told(false, 2);
	assert_true(at(all, "sum", "held", 0) >= INT64_C(1) << 41);
	assert_int_equal(at(all, "sum", "held", 1), 0);
	assert_int_equal(at(all, "sum", "done", 1), 0);
	json_decref(all);
}

static void without_memory_nothing_is_told(void **state)
{
	struct counters_text text = {0};
	struct chronicle *other = NULL;

	(void)state;
	second(1, 1);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(chronicle_expose(c, false, 1, &text), -ENOMEM);
	seam_fail(SEAM_ALLOC, 1, 1, ENOMEM);
	assert_int_equal(chronicle_expose(c, false, 1, &text), -ENOMEM);
	free(text.text);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(chronicle_new(figures, 2, &other), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_that_has_just_begun_has_no_steps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_second_has_what_was_held_and_what_has_grown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_minute_is_the_sum_and_the_greatest_of_its_seconds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(old_steps_give_way_to_new_ones, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_has_grown_over_a_few_seconds_is_shared_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_time_in_which_nobody_noted_stays_blank, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_figure_that_nobody_knows_is_blank_and_the_others_are_not, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_wall_clock_that_jumps_moves_the_labels_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(small_numbers_are_exact_and_large_ones_nearly, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_nothing_is_told, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("chronicle", tests, NULL, NULL);
}
