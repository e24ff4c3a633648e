/* Tests of logic/logic_kept: pushes to users that are kept, over a bus with halves. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "logic/logic.h"
#include "tests/unit/seam.h"

#define USERS 500

static struct config cfg;
static struct logic l;
static struct user users[USERS];
static uint64_t numbers[USERS];
static bool is_there[USERS];

/* What was begun and is not over, and when something fails. */
static struct flights {
	const struct wire_push *pushes[USERS];
	unsigned whole, begun, ended, most;
	unsigned fails_to_begin, fails_to_end; /* this one, counted from 1; 0: none */
} flights;

/* A user's number is that of his push; nobody is at home who has an odd one. */
static void meet(const struct bus_names *names, const struct wire_push *push, struct fate *fate)
{
	unsigned mid = 0;

	assert_true(names->are_users && names->n == 1);
	assert_int_equal(sscanf(names->v[0], "%u", &mid), 1);
	assert_string_equal(push->stream + 1, names->v[0]);
	fate->knows_online = true;
	fate->online = mid % 2 == 0;
	fate->offline = mid % 2;
	push->message->number = mid;
}

static int push_whole(void *self, const struct bus_names *names, const struct wire_push *push, struct fate *fate)
{
	(void)self;
	flights.whole++;
	meet(names, push, fate);
	return 0;
}

static int begin(void *self, const struct bus_names *names, const struct wire_push *push, struct fate *fate,
		 struct bus_flight **out)
{
	(void)self;
	if (flights.begun + 1 == flights.fails_to_begin)
		return -EAGAIN;
	meet(names, push, fate);
	flights.pushes[flights.begun] = push;
	*out = (struct bus_flight *)(uintptr_t)++flights.begun;
	if (flights.begun - flights.ended > flights.most)
		flights.most = flights.begun - flights.ended;
	return 0;
}

static int end(void *self, struct bus_flight **flight)
{
	(void)self;
	/* In their order; all that the bus was given is where it was. */
	assert_int_equal((uintptr_t)*flight, ++flights.ended);
	assert_true(flights.pushes[flights.ended - 1]->message->number > 0);
	*flight = NULL;
	return flights.ended == flights.fails_to_end ? -ERR_NO_LOGIC : 0;
}

static int set_up(void **state)
{
	(void)state;
	flights = (struct flights){0};
	memset(is_there, 0, sizeof(is_there));
	if (config_init(&cfg) < 0)
		return -1;
	l = (struct logic){.cfg = &cfg, .bus = {.push_to = push_whole, .begin = begin, .end = end}};
	for (unsigned i = 0; i < USERS; i++)
		users[i] = (struct user){.mid = (int64_t)i + 1};
	return kept_parse("", "5/10m", &l.kept);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	config_fini(&cfg);
	return 0;
}

static int push(size_t n, size_t body_bytes, struct fate *fate)
{
	static const char body[1 << 20];
	const struct logic_message m = {
		.op = 1000, .body = body, .body_bytes = body_bytes, .fate = fate, .numbers = numbers};

	return logic_push_users(&l, &m, users, n);
}

/* The first brings the script, where Redis has none; then many are under way, up to a bound. */
static void many_users_are_on_their_way_at_one_time(void **state)
{
	const int64_t nobody = counters_read(COUNT_PUSHES_TO_NOBODY);
	struct fate fate = {.is_there = is_there};

	(void)state;
	users[7].mid = 0; /* is nobody */
	assert_int_equal(push(USERS, 5, &fate), 0);
	assert_int_equal(flights.whole, 1);
	assert_int_equal(flights.begun, USERS - 2);
	assert_int_equal(flights.ended, USERS - 2);
	assert_int_equal(flights.most, 128);
	for (unsigned i = 0; i < USERS; i++) {
		assert_int_equal(numbers[i], i == 7 ? 0 : i + 1);
		assert_int_equal(is_there[i], i % 2 && i != 7);
	}
	assert_int_equal(fate.online, USERS / 2 - 1);
	assert_int_equal(fate.offline, USERS / 2 + 1);
	assert_int_equal(counters_read(COUNT_PUSHES_TO_NOBODY), nobody + USERS / 2);
}

static void of_long_pushes_fewer_are(void **state)
{
	(void)state;
	assert_int_equal(push(20, 1 << 20, NULL), 0);
	assert_int_equal(flights.most, 1);
	assert_int_equal(push(20, 300000, NULL), 0);
	assert_int_equal(flights.most, 4);
}

/* Whoever is named twice, while the first is under way still, has one, and its number in both places. */
static void whoever_is_named_twice_has_one(void **state)
{
	struct fate fate = {.is_there = is_there};

	(void)state;
	users[2].mid = users[5].mid = users[1].mid;
	assert_int_equal(push(6, 5, &fate), 0);
	assert_int_equal(flights.whole + flights.begun, 4);
	assert_int_equal(numbers[2], numbers[1]);
	assert_int_equal(numbers[5], numbers[1]);
	assert_true(is_there[1] && is_there[2] && is_there[5]);
	assert_int_equal(fate.online, 2);
}

/* Nobody sets off any more then, and those who have come to their end. */
static void after_one_that_fails_the_others_under_way_are_waited_for(void **state)
{
	const int64_t failed = counters_read(COUNT_PUSHES_FAILED);

	(void)state;
	flights.fails_to_end = 10;
	assert_int_equal(push(USERS, 5, NULL), -ERR_NO_LOGIC);
	assert_int_equal(flights.begun, 128 + 9);
	assert_int_equal(flights.ended, flights.begun);
	flights = (struct flights){.fails_to_begin = 10};
	assert_int_equal(push(USERS, 5, NULL), -EAGAIN);
	assert_int_equal(flights.begun, 9);
	assert_int_equal(flights.ended, 9);
	assert_int_equal(counters_read(COUNT_PUSHES_FAILED), failed + 2);
}

/* As the lines of a batch are, each to a user or a few. */
static void many_pushes_are_on_their_way_at_one_time(void **state)
{
	enum { PUSHES = 3 };
	struct logic_flight under_way[PUSHES];
	struct logic_message m[PUSHES];
	struct fate fate = {0};
	const int64_t failed = counters_read(COUNT_PUSHES_FAILED);
	uint64_t number;

	(void)state;
	for (unsigned i = 0; i < PUSHES; i++) {
		m[i] = (struct logic_message){.op = 1000,
					      .body = "x",
					      .body_bytes = 1,
					      .numbers = &numbers[i],
					      .fate = i == 0 ? &fate : NULL,
					      .flight = &under_way[i]};
		assert_int_equal(logic_push_users(&l, &m[i], &users[i], i == 2 ? 2 : 1), -EINPROGRESS);
	}
	assert_int_equal(flights.whole, 0);
	assert_int_equal(flights.begun, 4);
	assert_int_equal(flights.ended, 0);
	flights.fails_to_end = 2;
	assert_int_equal(logic_push_end(&l, &under_way[0], &number), 0);
	assert_int_equal(number, 1);
	assert_int_equal(fate.offline, 1);
	assert_int_equal(counters_read(COUNT_PUSHES_FAILED), failed);
	assert_int_equal(logic_push_end(&l, &under_way[1], &number), -ERR_NO_LOGIC);
	assert_int_equal(number, 0);
	assert_int_equal(counters_read(COUNT_PUSHES_FAILED), failed + 1);
	assert_int_equal(logic_push_end(&l, &under_way[2], &number), 0);
	assert_int_equal(numbers[3], 4);
	assert_int_equal(flights.ended, 4);
	/* To many it ends here. */
	m[0].numbers = numbers;
	assert_int_equal(logic_push_users(&l, &m[0], users, 17), 0);
	assert_int_equal(flights.whole, 1);
	assert_int_equal(flights.ended, 4 + 16);
}

static void without_memory_nothing_is_left_under_way(void **state)
{
	int rc = -ENOMEM;

	(void)state;
	for (unsigned after = 0; rc == -ENOMEM; after++) {
		flights = (struct flights){0};
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = push(4, 5, NULL);
		seam_reset();
		assert_true(after > 0 || rc == -ENOMEM);
		assert_int_equal(flights.ended, flights.begun);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(flights.ended, 3);
}

#define kept_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		kept_test(many_users_are_on_their_way_at_one_time),
		kept_test(of_long_pushes_fewer_are),
		kept_test(whoever_is_named_twice_has_one),
		kept_test(after_one_that_fails_the_others_under_way_are_waited_for),
		kept_test(many_pushes_are_on_their_way_at_one_time),
		kept_test(without_memory_nothing_is_left_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
