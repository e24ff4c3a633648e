/* Tests of logic/auth_failures. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "logic/auth_failures.h"
#include "tests/unit/seam.h"

static struct auth_failures f;

static int set_up(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	return auth_failures_init(&f, 2);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	auth_failures_fini(&f);
	return 0;
}

static void note(const char *peer, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		auth_failures_note(&f, peer, "question", "no");
}

static void a_network_with_many_failures_is_borne_no_more(void **state)
{
	(void)state;
	note("10.0.0.9", 19);
	assert_true(auth_failures_bear(&f, "10.0.0.9"));
	note("10.0.0.9", 1);
	assert_false(auth_failures_bear(&f, "10.0.0.9"));
	assert_false(auth_failures_bear(&f, "::ffff:10.0.0.9"));
	assert_true(auth_failures_bear(&f, "10.0.0.8"));
	seam_clock_advance(CLOCK_SEC / 2);
	assert_true(auth_failures_bear(&f, "10.0.0.9"));
	note("10.0.0.9", 5); /* four of them were under way already */
	seam_clock_advance(2 * CLOCK_SEC);
	assert_false(auth_failures_bear(&f, "10.0.0.9"));
	seam_clock_advance(CLOCK_SEC / 2);
	assert_true(auth_failures_bear(&f, "10.0.0.9"));
}

static void an_ipv6_network_of_64_bits_is_one(void **state)
{
	(void)state;
	note("2001:db8:0:1::1", 20);
	assert_false(auth_failures_bear(&f, "2001:db8:0:1:ffff::2"));
	assert_true(auth_failures_bear(&f, "2001:db8:0:2::1"));
}

static void asking_costs_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_true(auth_failures_bear(&f, "10.0.0.9"));
}

static void a_refused_question_is_remembered_for_seconds_with_its_words(void **state)
{
	char words[WIRE_TEXT_BYTES];

	(void)state;
	assert_false(auth_failures_recall(&f, "question", words));
	auth_failures_note(&f, "10.0.0.9", "question", "the words");
	assert_true(auth_failures_recall(&f, "question", words));
	assert_string_equal(words, "the words");
	assert_false(auth_failures_recall(&f, "questions", words));
	seam_clock_advance(5 * CLOCK_SEC);
	assert_false(auth_failures_recall(&f, "question", words));
}

static void without_a_limit_all_are_borne(void **state)
{
	(void)state;
	f.rate.per_second = 0;
	note("10.0.0.9", 1000);
	assert_true(auth_failures_bear(&f, "10.0.0.9"));
}

static void without_memory_there_are_none(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 2; after++) {
		struct auth_failures other;

		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(auth_failures_init(&other, 1), -ENOMEM);
		auth_failures_fini(&other);
		seam_reset();
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_network_with_many_failures_is_borne_no_more),
		CASE(an_ipv6_network_of_64_bits_is_one),
		CASE(asking_costs_nothing),
		CASE(a_refused_question_is_remembered_for_seconds_with_its_words),
		CASE(without_a_limit_all_are_borne),
		CASE(without_memory_there_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
