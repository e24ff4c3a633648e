/* Tests of logic/sent: what a comet is told when Redis has lost its data. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "logic/sent.h"
#include "tests/unit/seam.h"

static struct sent s;

static int set_up(void **state)
{
	(void)state;
	sent_init(&s);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sent_fini(&s);
	seam_reset();
	return 0;
}

/* The next one that is owed: this much to this comet. */
#define assert_owed(name, number)                                                                                      \
	do {                                                                                                           \
		struct sent_word word_;                                                                                \
                                                                                                                       \
		assert_true(sent_take_owed(&s, sent_round(&s), &word_));                                               \
		assert_string_equal(word_.server, name);                                                               \
		assert_int_equal(word_.had, number);                                                                   \
	} while (0)

static void assert_nobody_owed(void)
{
	struct sent_word word;

	assert_false(sent_take_owed(&s, sent_round(&s), &word));
	assert_int_equal(s.owed, 0);
}

static void nothing_is_owed_while_redis_keeps_its_data(void **state)
{
	(void)state;
	sent_note(&s, &(struct sent_answer){1000, "a", 7, 1});
	sent_note(&s, &(struct sent_answer){1000, "a", 7, 2});
	assert_nobody_owed();
}

static void the_last_entry_is_owed_once(void **state)
{
	(void)state;
	sent_note(&s, &(struct sent_answer){1000, "a", 7, 41});
	sent_note(&s, &(struct sent_answer){1000, "a", 7, 42});
	sent_note(&s, &(struct sent_answer){1000, "a", 7, 40}); /* an answer that comes late */
	sent_note(&s, &(struct sent_answer){2000, "a", 7, 1});
	assert_owed("a", 42);
	assert_nobody_owed();
	sent_note(&s, &(struct sent_answer){2000, "a", 7, 2});
	assert_nobody_owed();
	sent_note(&s, &(struct sent_answer){3000, "a", 7, 1});
	assert_owed("a", 2);
}

/* As the answer to a push says that nobody gets. */
static void a_generation_alone_tells_of_the_loss(void **state)
{
	(void)state;
	sent_note(&s, &(struct sent_answer){1000, "a", 7, 41});
	sent_generation(&s, 1000);
	assert_nobody_owed();
	sent_generation(&s, 2000);
	assert_owed("a", 41);
	assert_nobody_owed();
}

static void an_answer_of_before_that_comes_after_is_owed_too(void **state)
{
	(void)state;
	sent_note(&s, &(struct sent_answer){1000, "a", 7, 41});
	sent_note(&s, &(struct sent_answer){2000, "b", 8, 1});
	assert_owed("a", 41);
	sent_note(&s, &(struct sent_answer){1000, "a", 7, 43});
	assert_owed("a", 43);
	assert_nobody_owed();
}

static void what_could_not_be_told_is_owed_again(void **state)
{
	struct sent_word word;
	uint64_t round;

	(void)state;
	sent_note(&s, &(struct sent_answer){1000, "a", 7, 41});
	sent_note(&s, &(struct sent_answer){2000, "a", 7, 1});
	round = sent_round(&s);
	assert_true(sent_take_owed(&s, round, &word));
	sent_owe(&s, &word);
	sent_owe(&s, &(struct sent_word){"who is not known", 1, 5});
	assert_false(sent_take_owed(&s, round, &word));
	assert_owed("a", 41);
	assert_nobody_owed();
}

static void a_comet_that_started_anew_is_owed_nothing(void **state)
{
	(void)state;
	sent_note(&s, &(struct sent_answer){1000, "a", 7, 41});
	sent_note(&s, &(struct sent_answer){1000, "a", 9, 1});
	sent_note(&s, &(struct sent_answer){1000, "a", 7, 42}); /* late, for the one that has gone */
	sent_note(&s, &(struct sent_answer){2000, "a", 9, 1});
	assert_owed("a", 1);
	sent_note(&s, &(struct sent_answer){3000, "a", 11, 1});
	assert_nobody_owed();
}

static void names_that_come_and_go_do_not_add_up(void **state)
{
	char name[SENT_SERVER_BYTES + 1];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		(void)snprintf(name, sizeof(name), "comet-%d", i);
		sent_note(&s, &(struct sent_answer){1000, name, 7, 1});
	}
	assert_true(s.streams.count <= 4096);
	memset(name, 'x', SENT_SERVER_BYTES);
	name[SENT_SERVER_BYTES] = '\0';
	sent_note(&s, &(struct sent_answer){1000, name, 7, 1});
	assert_null(strmap_get(&s.streams, name));
}

static void without_memory_nobody_is_told(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 3; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		sent_note(&s, &(struct sent_answer){1000, "a", 7, 41});
		seam_reset();
		if (after == 0) {
			sent_note(&s, &(struct sent_answer){2000, "b", 7, 1});
			assert_nobody_owed();
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_owed_while_redis_keeps_its_data, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_last_entry_is_owed_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_generation_alone_tells_of_the_loss, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_answer_of_before_that_comes_after_is_owed_too, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_could_not_be_told_is_owed_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_comet_that_started_anew_is_owed_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_that_come_and_go_do_not_add_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_nobody_is_told, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("sent", tests, NULL, NULL);
}
