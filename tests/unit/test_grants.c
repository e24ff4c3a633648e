/* Tests of common/wire/grants. SPDX-License-Identifier: MIT */
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
#include "common/base/json.h"
#include "common/wire/grants.h"
#include "tests/unit/seam.h"

static struct grants *grants_of(const char *text)
{
	json_t *object = json_read(text, strlen(text), 0);
	struct grants *g = NULL;

	assert_non_null(object);
	assert_int_equal(grants_read_object(object, &g), 0);
	json_decref(object);
	return g;
}

static void names_and_beginnings_are_granted(void **state)
{
	struct grants *g = grants_of("{\"rooms\":[\"a://1\",\"b://*\",\"c*d\"],\"ops\":[1000,\"20*\",\"-1\"]}");

	(void)state;
	assert_true(grants_room(g, "a://1"));
	assert_false(grants_room(g, "a://12"));
	assert_false(grants_room(g, "a://"));
	assert_true(grants_room(g, "b://"));
	assert_true(grants_room(g, "b://x*"));
	assert_false(grants_room(g, "b:/"));
	assert_true(grants_room(g, "c*d"));
	assert_false(grants_room(g, "cxd"));
	assert_false(grants_room(g, "1000"));
	assert_true(grants_op(g, 1000));
	assert_false(grants_op(g, 10000));
	assert_true(grants_op(g, 20));
	assert_true(grants_op(g, 2099));
	assert_true(grants_op(g, -1));
	assert_false(grants_op(g, 1));
	assert_false(grants_every_op(g));
	grants_free(&g);
	assert_null(g);
}

static void a_star_is_everything(void **state)
{
	struct grants *g = grants_of("{\"rooms\":[\"*\"],\"ops\":[\"*\"]}");

	(void)state;
	assert_true(grants_room(g, "any://thing"));
	assert_true(grants_op(g, INT32_MIN));
	assert_true(grants_every_op(g));
	grants_free(&g);
}

static void nobody_is_granted_anything(void **state)
{
	struct grants *none = grants_of("{\"rooms\":null}"), *empty = grants_of("{\"rooms\":[],\"ops\":[]}");
	int32_t ops[GRANTS_MAX];

	(void)state;
	assert_null(none);
	assert_non_null(empty);
	for (unsigned i = 0; i < 2; i++) {
		const struct grants *g = i == 0 ? none : empty;

		assert_false(grants_room(g, ""));
		assert_false(grants_room(g, "a"));
		assert_false(grants_op(g, 0));
		assert_false(grants_every_op(g));
		assert_int_equal(grants_named_ops(g, ops), 0);
	}
	grants_free(&none);
	grants_free(&empty);
}

static void operations_that_are_named_are_listed(void **state)
{
	struct grants *g = grants_of("{\"ops\":[5,\"1000\",\"20*\",\"007\",\"x\",-3,99999999999,\"2147483647\"]}");
	int32_t ops[GRANTS_MAX];

	(void)state;
	assert_int_equal(grants_named_ops(g, ops), 4);
	assert_int_equal(ops[0], 5);
	assert_int_equal(ops[1], 1000);
	assert_int_equal(ops[2], -3);
	assert_int_equal(ops[3], INT32_MAX);
	grants_free(&g);
}

static void what_is_no_list_of_names_is_said(void **state)
{
	static const struct {
		const char *text;
		bool bad_ops;
	} CASES[] = {{"{\"rooms\":\"a\"}", false},  {"{\"rooms\":[1]}", false},
		     {"{\"rooms\":[\"\"]}", false}, {"{\"rooms\":[\"a\\n\"]}", false},
		     {"{\"rooms\":{}}", false},     {"{\"rooms\":[\"a\\u0000b\"]}", false},
		     {"{\"ops\":1}", true},         {"{\"ops\":[1.5]}", true},
		     {"{\"ops\":[null]}", true},    {"{\"ops\":[[]]}", true}};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		json_t *o = json_read(CASES[i].text, strlen(CASES[i].text), JSON_ALLOW_NUL);
		struct grants *g;
		bool bad_ops;

		assert_non_null(o);
		assert_int_equal(grants_read(json_object_get(o, "rooms"), json_object_get(o, "ops"), &g, &bad_ops),
				 -EBADMSG);
		assert_int_equal(bad_ops, CASES[i].bad_ops);
		assert_null(g);
		json_decref(o);
	}
}

static void they_come_back_as_they_were_written(void **state)
{
	struct grants *g = grants_of("{\"rooms\":[\"a\",\"b*\"],\"ops\":[1000,\"2*\"]}"), *back;
	json_t *object = grants_write(g);
	char *text;
	size_t n;

	(void)state;
	assert_non_null(object);
	json_watch();
	text = json_write(object, 0, &n);
	assert_string_equal(text, "{\"rooms\":[\"a\",\"b*\"],\"ops\":[\"1000\",\"2*\"]}");
	assert_int_equal(grants_read_object(object, &back), 0);
	assert_true(grants_op(back, 1000) && grants_op(back, 22) && grants_room(back, "bx"));
	free(text);
	json_decref(object);
	grants_free(&g);
	grants_free(&back);
}

static void passes_have_an_end(void **state)
{
	struct grants *g = NULL, *back;
	json_t *object;

	(void)state;
	seam_clock_set(1000 * CLOCK_SEC, 1);
	assert_int_equal(grants_add_pass(&g, "vip://1", 5000), 0);
	assert_int_equal(grants_add_pass(&g, "vip://1", 3000), 0);
	assert_int_equal(grants_add_pass(&g, "vip://*", 4000), 0);
	assert_int_equal(grants_add_pass(&g, "ever", INT64_MAX), 0);
	assert_int_equal(grants_room_until(g, "vip://1"), 1005 * CLOCK_SEC);
	assert_int_equal(grants_room_until(g, "vip://*"), 1004 * CLOCK_SEC);
	assert_int_equal(grants_room_until(g, "vip://2"), 0);
	assert_int_equal(grants_room_until(g, "ever"), GRANTS_FOR_EVER);
	assert_false(grants_room(g, "vip://1"));
	seam_clock_advance(2 * CLOCK_SEC);
	assert_non_null(object = grants_write(g));
	seam_clock_advance(100 * CLOCK_SEC);
	assert_int_equal(grants_read_object(object, &back), 0);
	assert_int_equal(grants_room_until(back, "vip://1"), 1105 * CLOCK_SEC);
	assert_int_equal(grants_room_until(back, "ever"), GRANTS_FOR_EVER);
	json_decref(object);
	grants_free(&g);
	grants_free(&back);
}

static void a_name_counts_before_a_pass(void **state)
{
	struct grants *g = grants_of("{\"rooms\":[\"a*\"]}");

	(void)state;
	assert_int_equal(grants_add_pass(&g, "ab", 1), 0);
	assert_int_equal(grants_add_pass(&g, "b", 1), 0);
	assert_int_equal(grants_room_until(g, "ab"), GRANTS_FOR_EVER);
	assert_int_not_equal(grants_room_until(g, "b"), GRANTS_FOR_EVER);
	grants_free(&g);
}

static void passes_are_bounded(void **state)
{
	struct grants *g = NULL;

	(void)state;
	for (int i = 0; i < GRANTS_MAX; i++) {
		char room[12];

		(void)snprintf(room, sizeof(room), "%d", i);
		assert_int_equal(grants_add_pass(&g, room, 1), 0);
	}
	assert_int_equal(grants_add_pass(&g, "one more", 1), -ENOBUFS);
	assert_int_equal(grants_add_pass(&g, "7", 5), 0);
	grants_free(&g);
}

static void without_memory_there_are_none(void **state)
{
	json_t *o = json_read("{\"rooms\":[\"a\"]}", 15, 0);
	struct grants *g;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(grants_read_object(o, &g), -ENOMEM);
	assert_null(g);
	seam_reset();
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_beginnings_are_granted),
		cmocka_unit_test(a_star_is_everything),
		cmocka_unit_test(nobody_is_granted_anything),
		cmocka_unit_test(operations_that_are_named_are_listed),
		cmocka_unit_test(what_is_no_list_of_names_is_said),
		cmocka_unit_test(they_come_back_as_they_were_written),
		cmocka_unit_test(passes_have_an_end),
		cmocka_unit_test(a_name_counts_before_a_pass),
		cmocka_unit_test(passes_are_bounded),
		cmocka_unit_test(without_memory_there_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
