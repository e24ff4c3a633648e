/* Tests of common/base/reload. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/reload.h"

/* Something that can be read again: a number. */
struct thing {
	int rc;
	int in_file, next, used;
	int reads, settled;
};

static int thing_read(void *self)
{
	struct thing *thing = self;

	thing->reads++;
	if (thing->rc == 0)
		thing->next = thing->in_file;
	return thing->rc;
}

static void thing_settle(void *self, bool use)
{
	struct thing *thing = self;

	assert_int_not_equal(thing->next, 0);
	if (use)
		thing->used = thing->next;
	thing->next = 0;
	thing->settled++;
}

#define PART(thing)                                                                                                    \
	(struct reload_part)                                                                                           \
	{                                                                                                              \
		"thing", thing_read, thing_settle, (thing)                                                             \
	}

static void what_can_be_read_is_used_once_all_of_it_is(void **state)
{
	struct thing one = {.in_file = 2, .used = 1}, two = {.in_file = 4, .used = 3};
	const struct reload_part parts[] = {PART(&one), PART(NULL), PART(&two)};
	int64_t before = counters_read(COUNT_RELOAD_FAILED);

	(void)state;
	assert_int_equal(reload_all(parts, 3), 2);
	assert_int_equal(one.used, 2);
	assert_int_equal(two.used, 4);
	assert_int_equal(counters_read(COUNT_RELOAD_FAILED), before);
}

/* Whichever it is that fails; all are read, so that each fault is told. */
static void where_one_fails_all_stay_as_they_were(void **state)
{
	for (int bad = 0; bad < 3; bad++) {
		struct thing things[3] = {
			{.in_file = 2, .used = 1}, {.in_file = 4, .used = 3}, {.in_file = 6, .used = 5}};
		const struct reload_part parts[] = {PART(&things[0]), PART(&things[1]), PART(&things[2])};
		int64_t before = counters_read(COUNT_RELOAD_FAILED);

		(void)state;
		things[bad].rc = -ERR_CONFIG;
		assert_int_equal(reload_all(parts, 3), -ERR_CONFIG);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(things[i].used, 2 * i + 1);
			assert_int_equal(things[i].reads, 1);
			assert_int_equal(things[i].settled, i != bad);
			assert_int_equal(things[i].next, 0);
		}
		assert_int_equal(counters_read(COUNT_RELOAD_FAILED), before + 1);
		things[bad].rc = 0;
		assert_int_equal(reload_all(parts, 3), 3);
		for (int i = 0; i < 3; i++)
			assert_int_equal(things[i].used, things[i].in_file);
	}
}

static void the_first_error_is_the_one_that_is_returned(void **state)
{
	struct thing one = {.rc = -ENOMEM}, two = {.rc = -ERR_CONFIG};
	const struct reload_part parts[] = {PART(&one), PART(&two)};

	(void)state;
	assert_int_equal(reload_all(parts, 2), -ENOMEM);
	assert_int_equal(two.reads, 1);
}

static void there_may_be_nothing_to_reload(void **state)
{
	const struct reload_part parts[] = {PART(NULL), {0}};

	(void)state;
	assert_int_equal(reload_all(parts, 2), 0);
}

static int noting_read(void *self)
{
	(void)self;
	reload_note(RELOAD_CHANGED, "a=1");
	reload_note(RELOAD_CHANGED, "b=\xff\xc3\xa4");
	return 0;
}

static void noting_settle(void *self, bool use)
{
	(void)self, (void)use;
}

static int note_more_than_fits(void *self)
{
	char line[1000];

	(void)self;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\0';
	for (int i = 0; i < 100; i++)
		reload_note(RELOAD_FAULTS, line);
	reload_note(RELOAD_FAULTS, "short");
	return 0;
}

static sigset_t hangup(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGHUP);
	return set;
}

static int block_hangup(void **state)
{
	const sigset_t set = hangup();

	(void)state;
	return pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* As main does, when SIGHUP has come. */
static void *reload_at_the_signal(void *part)
{
	const sigset_t wanted = hangup();
	int got;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(sigwait(&wanted, &got), 0);
		(void)reload_all(part, 1);
	}
	return NULL;
}

static void ask_for(int (*read)(void *), struct reload_told *told)
{
	struct reload_part part = {"thing", read, noting_settle, told};
	const sigset_t wanted = hangup();
	pthread_t main_thread;

	assert_int_equal(pthread_create(&main_thread, NULL, reload_at_the_signal, &part), 0);
	while (!reload_ask(5000, told))
		;
	assert_int_equal(kill(getpid(), SIGHUP), 0); /* perhaps it has served both by one */
	assert_int_equal(pthread_join(main_thread, NULL), 0);
	(void)sigtimedwait(&wanted, NULL, &(struct timespec){0});
}

static void who_asks_is_told_what_came_of_it(void **state)
{
	static struct reload_told told;

	(void)state;
	assert_false(reload_ask(10, &told)); /* nobody serves yet, and the signal stays */
	ask_for(noting_read, &told);
	assert_int_equal(told.rc, 1);
	assert_string_equal(told.notes[RELOAD_READ], "thing\n");
	assert_string_equal(told.notes[RELOAD_CHANGED], "a=1\nb=???\n");
	assert_string_equal(told.notes[RELOAD_FAULTS], "");
}

static void notes_that_find_no_space_are_left_out(void **state)
{
	static struct reload_told told;

	(void)state;
	ask_for(note_more_than_fits, &told);
	assert_int_equal(strlen(told.notes[RELOAD_FAULTS]), 4 * 1000 + strlen("short\n"));
	assert_string_equal(told.notes[RELOAD_FAULTS] + 4 * 1000, "short\n");
}

/* The last of the tests: nobody reloads any more. */
static void whoever_asks_while_the_program_stops_does_not_wait(void **state)
{
	static struct reload_told told;
	const sigset_t wanted = hangup();

	(void)state;
	reload_close();
	assert_false(reload_ask(3600000, &told));
	(void)sigtimedwait(&wanted, NULL, &(struct timespec){0});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_can_be_read_is_used_once_all_of_it_is),
		cmocka_unit_test(where_one_fails_all_stay_as_they_were),
		cmocka_unit_test(the_first_error_is_the_one_that_is_returned),
		cmocka_unit_test(there_may_be_nothing_to_reload),
		cmocka_unit_test_setup(who_asks_is_told_what_came_of_it, block_hangup),
		cmocka_unit_test_setup(notes_that_find_no_space_are_left_out, block_hangup),
		cmocka_unit_test_setup(whoever_asks_while_the_program_stops_does_not_wait, block_hangup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
