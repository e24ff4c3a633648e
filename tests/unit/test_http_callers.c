/* http_callers: room is bounded, and who takes too long is cut off. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/http/http_callers.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define LONG_MS  600000
#define SHORT_MS 30

/* A caller: the server's end of its connection, and its own. */
struct pair {
	int server, client;
};

static struct pair pair_new(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	return (struct pair){ends[0], ends[1]};
}

static void pair_close(struct pair *p)
{
	(void)close(p->server);
	(void)close(p->client);
}

/* Is it cut off within the time? */
static bool is_cut_off(const struct pair *p, int wait_ms)
{
	struct pollfd poll_for = {.fd = p->client, .events = POLLIN};
	char byte;

	return poll(&poll_for, 1, wait_ms) == 1 && recv(p->client, &byte, 1, 0) == 0;
}

static struct http_callers *callers_new(unsigned max, int64_t timeout_ms)
{
	struct http_callers *c;

	assert_int_equal(http_callers_start(max, timeout_ms, &c), 0);
	return c;
}

static struct http_caller *admit(struct http_callers *c, const struct pair *p)
{
	struct http_caller *caller;

	assert_int_equal(http_callers_enter(c, p->server), 0);
	caller = http_callers_begin(c, p->server);
	assert_non_null(caller);
	return caller;
}

static int teardown(void **state)
{
	(void)state;
	seam_reset();
	return 0;
}

/* One that wants in, on a thread of its own. */
struct entrant {
	struct http_callers *callers;
	int fd;
	int rc;
	atomic_bool done;
	pthread_t thread;
};

static void *enter(void *arg)
{
	struct entrant *e = arg;

	e->rc = http_callers_enter(e->callers, e->fd);
	atomic_store(&e->done, true);
	return NULL;
}

static void entrant_start(struct entrant *e, struct http_callers *c, int fd)
{
	*e = (struct entrant){.callers = c, .fd = fd};
	assert_int_equal(pthread_create(&e->thread, NULL, enter, e), 0);
}

static int entrant_join(struct entrant *e)
{
	assert_int_equal(pthread_join(e->thread, NULL), 0);
	return e->rc;
}

/* ---- room ---- */

static void one_too_many_waits_until_another_leaves(void **state)
{
	struct http_callers *c = callers_new(1, LONG_MS);
	struct pair first = pair_new(), second = pair_new();
	struct http_caller *caller = admit(c, &first);
	struct entrant e;

	(void)state;
	entrant_start(&e, c, second.server);
	assert_false(is_cut_off(&first, SHORT_MS));
	assert_false(atomic_load(&e.done));
	http_callers_leave(c, caller);
	assert_int_equal(entrant_join(&e), 0);
	http_callers_leave(c, http_callers_begin(c, second.server));
	http_callers_end(c);
	http_callers_stop(&c);
	assert_null(c);
	pair_close(&first);
	pair_close(&second);
}

static void one_that_waits_returns_at_the_end(void **state)
{
	struct http_callers *c = callers_new(1, LONG_MS);
	struct pair first = pair_new(), second = pair_new();
	struct http_caller *caller = admit(c, &first);
	struct entrant e;

	(void)state;
	entrant_start(&e, c, second.server);
	assert_false(is_cut_off(&first, SHORT_MS));
	http_callers_end(c);
	assert_int_equal(entrant_join(&e), -ESHUTDOWN);
	assert_int_equal(http_callers_enter(c, second.server), -ESHUTDOWN);
	http_callers_leave(c, caller);
	http_callers_stop(&c);
	pair_close(&first);
	pair_close(&second);
}

static void one_that_never_begins_gives_its_room_back(void **state)
{
	struct http_callers *c = callers_new(1, SHORT_MS);
	struct pair lost = pair_new(), next = pair_new();
	struct http_caller *caller;

	(void)state;
	assert_int_equal(http_callers_enter(c, lost.server), 0);
	caller = admit(c, &next); /* waits for that */
	assert_null(http_callers_begin(c, lost.server));
	/* Its descriptor may be another's by now, and was left alone. */
	assert_false(is_cut_off(&lost, 0));
	http_callers_leave(c, caller);
	http_callers_end(c);
	http_callers_stop(&c);
	pair_close(&lost);
	pair_close(&next);
}

static void of_two_with_one_descriptor_the_newer_begins(void **state)
{
	struct http_callers *c = callers_new(2, LONG_MS);
	struct pair p = pair_new();
	struct http_caller *caller;

	(void)state;
	assert_int_equal(http_callers_enter(c, p.server), 0); /* never begins, and is freed at the end */
	assert_int_equal(http_callers_enter(c, p.server), 0);
	caller = http_callers_begin(c, p.server);
	http_callers_leave(c, caller);
	http_callers_end(c);
	http_callers_stop(&c);
	pair_close(&p);
}

/* A request of its and the answer to it, and idle after that. */
static void be_served(struct http_callers *c, struct http_caller *caller)
{
	http_caller_ask(c, caller);
	assert_true(http_caller_answer(c, caller));
	http_caller_reply(c, caller);
	http_caller_done(c, caller, true);
}

static void who_has_been_idle_longest_makes_room_for_one_that_waits(void **state)
{
	struct http_callers *c = callers_new(4, LONG_MS);
	struct pair pairs[4], next = pair_new();
	struct http_caller *callers[4];
	struct entrant e;

	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	for (int i = 0; i < 4; i++) {
		pairs[i] = pair_new();
		callers[i] = admit(c, &pairs[i]);
	}
	/* The first has said nothing yet, the second asks again; of the other two the last was served first. */
	be_served(c, callers[1]);
	http_caller_ask(c, callers[1]);
	be_served(c, callers[3]);
	seam_clock_advance(1);
	be_served(c, callers[2]);
	entrant_start(&e, c, next.server);
	assert_true(is_cut_off(&pairs[3], UNTIL_SECONDS * 1000));
	http_callers_leave(c, callers[3]);
	assert_int_equal(entrant_join(&e), 0);
	for (int i = 0; i < 3; i++) {
		assert_false(is_cut_off(&pairs[i], 0));
		http_callers_leave(c, callers[i]);
	}
	http_callers_leave(c, http_callers_begin(c, next.server));
	http_callers_end(c);
	http_callers_stop(&c);
	for (int i = 0; i < 4; i++)
		pair_close(&pairs[i]);
	pair_close(&next);
}

static void who_becomes_idle_makes_room_for_one_that_waits_already(void **state)
{
	struct http_callers *c = callers_new(1, LONG_MS);
	struct pair first = pair_new(), second = pair_new();
	struct http_caller *caller = admit(c, &first);
	struct entrant e;

	(void)state;
	http_caller_ask(c, caller);
	entrant_start(&e, c, second.server);
	assert_false(is_cut_off(&first, SHORT_MS));
	be_served(c, caller);
	assert_true(is_cut_off(&first, UNTIL_SECONDS * 1000));
	http_callers_leave(c, caller);
	assert_int_equal(entrant_join(&e), 0);
	http_callers_leave(c, http_callers_begin(c, second.server));
	http_callers_end(c);
	http_callers_stop(&c);
	pair_close(&first);
	pair_close(&second);
}

static void whose_request_is_slow_to_come_makes_room_for_one_that_waits(void **state)
{
	struct http_callers *c = callers_new(2, LONG_MS);
	struct pair slow = pair_new(), served = pair_new(), next = pair_new();
	struct http_caller *callers[2];
	struct entrant e;

	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	callers[0] = admit(c, &slow);
	callers[1] = admit(c, &served);
	http_caller_ask(c, callers[1]);
	assert_true(http_caller_answer(c, callers[1])); /* its answer may take as long as it likes */
	entrant_start(&e, c, next.server);
	assert_false(is_cut_off(&slow, SHORT_MS));
	seam_clock_advance(CLOCK_SEC);
	assert_true(is_cut_off(&slow, UNTIL_SECONDS * 1000));
	http_callers_leave(c, callers[0]);
	assert_int_equal(entrant_join(&e), 0);
	assert_false(is_cut_off(&served, 0));
	http_caller_done(c, callers[1], true);
	http_callers_leave(c, callers[1]);
	http_callers_leave(c, http_callers_begin(c, next.server));
	http_callers_end(c);
	http_callers_stop(&c);
	pair_close(&slow);
	pair_close(&served);
	pair_close(&next);
}

static void who_has_sent_the_next_request_is_not_cut_off(void **state)
{
	struct http_callers *c = callers_new(1, LONG_MS);
	struct pair first = pair_new(), second = pair_new();
	struct http_caller *caller = admit(c, &first);
	struct entrant e;

	(void)state;
	be_served(c, caller);
	assert_int_equal(send(first.client, "GET", 3, 0), 3);
	entrant_start(&e, c, second.server);
	assert_false(is_cut_off(&first, SHORT_MS));
	http_callers_leave(c, caller);
	assert_int_equal(entrant_join(&e), 0);
	http_callers_leave(c, http_callers_begin(c, second.server));
	http_callers_end(c);
	http_callers_stop(&c);
	pair_close(&first);
	pair_close(&second);
}

/* ---- deadlines ---- */

static void a_request_that_takes_too_long_is_cut_off(void **state)
{
	struct http_callers *c = callers_new(2, SHORT_MS);
	struct pair p = pair_new();
	struct http_caller *caller = admit(c, &p);

	(void)state;
	assert_true(is_cut_off(&p, UNTIL_SECONDS * 1000));
	http_callers_leave(c, caller);
	http_callers_end(c);
	http_callers_stop(&c);
	pair_close(&p);
}

/* Not only the first one: what it may be idle for is not time for a request. */
static void the_next_request_that_takes_too_long_is_cut_off(void **state)
{
	struct http_callers *c = callers_new(2, SHORT_MS);
	struct pair p = pair_new();
	struct http_caller *caller = admit(c, &p);

	(void)state;
	assert_true(http_caller_answer(c, caller));
	http_caller_reply(c, caller);
	http_caller_done(c, caller, true);
	http_caller_ask(c, caller);
	assert_true(is_cut_off(&p, UNTIL_SECONDS * 1000));
	http_callers_leave(c, caller);
	http_callers_end(c);
	http_callers_stop(&c);
	pair_close(&p);
}

static void a_handler_takes_its_time(void **state)
{
	struct http_callers *c = callers_new(2, SHORT_MS);
	struct pair slow = pair_new(), late = pair_new();
	struct http_caller *answered = admit(c, &slow), *caller;

	(void)state;
	assert_true(http_caller_answer(c, answered));
	caller = admit(c, &late);
	/* The watchdog has looked at both by then. */
	assert_true(is_cut_off(&late, UNTIL_SECONDS * 1000));
	assert_false(is_cut_off(&slow, 0));
	http_caller_reply(c, answered);
	http_caller_done(c, answered, true);
	http_callers_leave(c, answered);
	http_callers_leave(c, caller);
	http_callers_end(c);
	http_callers_stop(&c);
	pair_close(&slow);
	pair_close(&late);
}

/* An answer has a minute, and so has silence between two requests. The clock is stopped so far back that the watchdog, which
 * sleeps by the real one, is always too late and looks again at once. */
static void answers_and_silence_have_their_time(void **state)
{
	struct http_callers *c;
	struct pair p = pair_new(), q = pair_new();
	struct http_caller *replying, *silent;

	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	c = callers_new(2, SHORT_MS);
	replying = admit(c, &p);
	silent = admit(c, &q);
	assert_true(http_caller_answer(c, replying));
	http_caller_reply(c, replying);
	http_caller_done(c, silent, false);
	seam_clock_advance((HTTP_CALLER_IDLE_SECONDS - 1) * CLOCK_SEC);
	assert_false(is_cut_off(&p, 2 * SHORT_MS));
	assert_false(is_cut_off(&q, 0));
	seam_clock_advance(2 * CLOCK_SEC);
	assert_true(is_cut_off(&p, UNTIL_SECONDS * 1000));
	assert_true(is_cut_off(&q, UNTIL_SECONDS * 1000));
	http_caller_done(c, replying, true);
	http_callers_leave(c, replying);
	http_callers_leave(c, silent);
	http_callers_end(c);
	http_callers_stop(&c);
	pair_close(&p);
	pair_close(&q);
}

/* ---- the end ---- */

static void *wait_answered(void *arg)
{
	struct entrant *e = arg;

	http_callers_wait_answered(e->callers);
	atomic_store(&e->done, true);
	return NULL;
}

static void the_end_waits_for_answers_and_takes_no_more_requests(void **state)
{
	struct http_callers *c = callers_new(2, LONG_MS);
	struct pair p = pair_new(), q = pair_new();
	struct http_caller *busy = admit(c, &p), *idle = admit(c, &q);
	struct entrant e = {.callers = c};

	(void)state;
	assert_true(http_caller_answer(c, busy));
	http_callers_end(c);
	assert_true(is_cut_off(&q, UNTIL_SECONDS * 1000));
	assert_false(http_caller_answer(c, idle)); /* a request that had come before */
	assert_int_equal(pthread_create(&e.thread, NULL, wait_answered, &e), 0);
	assert_false(is_cut_off(&p, SHORT_MS));
	assert_false(atomic_load(&e.done));
	http_caller_reply(c, busy);
	http_caller_done(c, idle, false); /* its request was not taken: that ends nothing */
	assert_false(atomic_load(&e.done));
	http_caller_done(c, busy, true);
	assert_true(is_cut_off(&p, UNTIL_SECONDS * 1000));
	assert_int_equal(pthread_join(e.thread, NULL), 0);
	http_callers_leave(c, busy);
	http_callers_leave(c, idle);
	http_callers_stop(&c);
	pair_close(&p);
	pair_close(&q);
}

static void the_end_does_not_wait_for_ever(void **state)
{
	struct http_callers *c = callers_new(1, SHORT_MS);
	struct pair p = pair_new();
	struct http_caller *stuck = admit(c, &p);

	(void)state;
	assert_true(http_caller_answer(c, stuck));
	http_callers_end(c);
	http_callers_wait_answered(c);
	http_caller_done(c, stuck, true);
	http_callers_leave(c, stuck);
	http_callers_stop(&c);
	pair_close(&p);
}

/* ---- bad luck ---- */

static void without_memory_or_thread_nothing_is_left(void **state)
{
	struct http_callers *c = NULL;
	struct pair p = pair_new();

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(http_callers_start(1, LONG_MS, &c), -ENOMEM);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(http_callers_start(1, LONG_MS, &c), -EAGAIN);
	assert_null(c);
	c = callers_new(1, LONG_MS);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(http_callers_enter(c, p.server), -ENOMEM);
	http_callers_leave(c, admit(c, &p)); /* the room was not used up */
	http_callers_end(c);
	http_callers_stop(&c);
	pair_close(&p);
}

#define callers_test(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		callers_test(one_too_many_waits_until_another_leaves),
		callers_test(one_that_waits_returns_at_the_end),
		callers_test(one_that_never_begins_gives_its_room_back),
		callers_test(of_two_with_one_descriptor_the_newer_begins),
		callers_test(who_has_been_idle_longest_makes_room_for_one_that_waits),
		callers_test(who_becomes_idle_makes_room_for_one_that_waits_already),
		callers_test(whose_request_is_slow_to_come_makes_room_for_one_that_waits),
		callers_test(who_has_sent_the_next_request_is_not_cut_off),
		callers_test(a_request_that_takes_too_long_is_cut_off),
		callers_test(the_next_request_that_takes_too_long_is_cut_off),
		callers_test(a_handler_takes_its_time),
		callers_test(answers_and_silence_have_their_time),
		callers_test(the_end_waits_for_answers_and_takes_no_more_requests),
		callers_test(the_end_does_not_wait_for_ever),
		callers_test(without_memory_or_thread_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
