/* http_callers: places are bounded and shared by networks, and who takes too long is cut off. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/http/http_callers.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define LONG_MS  600000
#define SHORT_MS 30

/* A caller: the server's end of its connection, and its own. */
struct guest {
	struct http_caller caller;
	int server, client;
};

static struct http_callers *c;

static void start(unsigned max, int64_t timeout_ms, int64_t idle_ms)
{
	const struct http_callers_options opt = {.max = max, .timeout_ms = timeout_ms, .idle_ms = idle_ms};

	assert_int_equal(http_callers_start(&opt, &c), 0);
}

static int come(struct guest *g, const char *network)
{
	int ends[2], rc;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	g->server = ends[0];
	g->client = ends[1];
	if ((rc = http_callers_enter(c, &g->caller, g->server, network)) < 0) {
		(void)close(g->server);
		(void)close(g->client);
	}
	return rc;
}

static void go(struct guest *g)
{
	http_callers_leave(c, &g->caller);
	(void)close(g->server);
	(void)close(g->client);
}

static void come_all(struct guest *guests, unsigned n, const char *network)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(come(&guests[i], network), 0);
}

static void go_all(struct guest *guests, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		go(&guests[i]);
}

/* Is it cut off within the time? */
static bool is_cut_off(const struct guest *g, int wait_ms)
{
	struct pollfd poll_for = {.fd = g->client, .events = POLLIN};
	char byte;

	return poll(&poll_for, 1, wait_ms) == 1 && recv(g->client, &byte, 1, 0) == 0;
}

static unsigned count_cut_off(const struct guest *guests, unsigned n)
{
	unsigned cut = 0;

	for (unsigned i = 0; i < n; i++)
		cut += is_cut_off(&guests[i], 0);
	return cut;
}

/* A request of its and the answer to it, and idle after that. */
static void be_served(struct guest *g)
{
	assert_true(http_caller_ask(c, &g->caller));
	assert_int_equal(http_caller_answer(c, &g->caller), 0);
	http_caller_reply(c, &g->caller);
	assert_true(http_caller_rest(c, &g->caller));
}

static int teardown(void **state)
{
	(void)state;
	seam_reset();
	http_callers_end(c);
	http_callers_wait_left(c);
	http_callers_stop(&c);
	assert_null(c);
	return 0;
}

/* ---- places ---- */

static void who_has_been_idle_longest_makes_place(void **state)
{
	struct guest guests[4], next;

	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	start(4, LONG_MS, LONG_MS);
	come_all(guests, 4, "a");
	/* The first has said nothing yet, the second asks again; of the other two the last was served first. */
	be_served(&guests[1]);
	(void)http_caller_ask(c, &guests[1].caller);
	be_served(&guests[3]);
	seam_clock_advance(1);
	be_served(&guests[2]);
	assert_int_equal(come(&next, "a"), 0);
	assert_true(is_cut_off(&guests[3], 0));
	assert_int_equal(count_cut_off(guests, 3), 0);
	go_all(guests, 4);
	go(&next);
}

static void who_has_sent_the_next_request_is_not_cut_off(void **state)
{
	struct guest first, second;

	(void)state;
	start(1, LONG_MS, LONG_MS);
	come_all(&first, 1, "a");
	be_served(&first);
	assert_int_equal(send(first.client, "GET", 3, 0), 3);
	assert_int_equal(come(&second, "a"), 0);
	assert_false(is_cut_off(&first, 0));
	go(&first);
	go(&second);
}

static void whose_request_is_slow_to_come_makes_place_for_one_of_its_network(void **state)
{
	struct guest slow, served, next[2];

	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	start(2, LONG_MS, LONG_MS);
	come_all(&slow, 1, "a");
	come_all(&served, 1, "a");
	assert_int_equal(http_caller_answer(c, &served.caller), 0); /* its answer may take as long as it likes */
	assert_int_equal(come(&next[0], "a"), 0);
	assert_false(is_cut_off(&slow, 0)); /* it is not slow yet: the other has one of the spare places */
	seam_clock_advance(CLOCK_SEC);
	assert_int_equal(come(&next[1], "a"), 0);
	assert_true(is_cut_off(&slow, 0));
	assert_false(is_cut_off(&served, 0));
	go(&slow);
	go(&served);
	go_all(next, 2);
}

/* Nor is an answer that nobody takes a reason to keep a place. */
static void who_does_not_take_its_answer_makes_place_for_others(void **state)
{
	enum { MAX = 4, ALL = MAX + HTTP_CALLERS_SPARE };
	struct guest guests[ALL], same, other;

	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	start(MAX, LONG_MS, LONG_MS);
	for (unsigned i = 0; i < ALL; i++) {
		assert_int_equal(come(&guests[i], "a"), 0);
		(void)http_caller_answer(c, &guests[i].caller);
	}
	for (unsigned i = 0; i < ALL; i++)
		http_caller_reply(c, &guests[i].caller);
	assert_int_equal(come(&same, "b"), -EBUSY); /* they are about to take it */
	assert_int_equal(count_cut_off(guests, ALL), 0);
	seam_clock_advance(CLOCK_SEC);
	assert_int_equal(come(&same, "a"), 0);
	assert_int_equal(come(&other, "b"), 0);
	assert_int_equal(count_cut_off(guests, ALL), 2);
	go_all(guests, ALL);
	go(&same);
	go(&other);
}

/* However young their requests are. */
static void the_network_that_has_most_makes_place_for_others(void **state)
{
	struct guest many[20], one, few[3];

	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	start(20, LONG_MS, LONG_MS);
	come_all(&one, 1, "one");
	be_served(&one);
	come_all(many, 19, "many");
	come_all(few, 3, "few");
	assert_int_equal(count_cut_off(many, 19), 3);
	assert_false(is_cut_off(&one, 0)); /* who is idle there is none of theirs */
	assert_int_equal(come(&many[19], "many"), 0);
	assert_false(is_cut_off(&one, 0));
	go(&one);
	go_all(many, 20);
	go_all(few, 3);
}

static void the_last_places_are_for_probes_and_then_there_is_none(void **state)
{
	enum { MAX = 10, ALL = MAX + HTTP_CALLERS_SPARE };
	struct guest guests[ALL], more;
	unsigned busy = 0;

	(void)state;
	start(MAX, LONG_MS, LONG_MS);
	for (unsigned i = 0; i < ALL; i++) {
		int rc;

		assert_int_equal(come(&guests[i], "a"), 0);
		rc = http_caller_answer(c, &guests[i].caller);
		assert_true(rc == 0 || rc == -EBUSY);
		busy += rc == -EBUSY;
	}
	assert_int_equal(busy, 8);
	assert_int_equal(come(&more, "a"), -EBUSY);
	assert_int_equal(come(&more, "b"), -EBUSY);
	go(&guests[0]);
	assert_int_equal(come(&guests[0], "b"), 0);
	for (unsigned i = 1; i < ALL; i++)
		http_caller_reply(c, &guests[i].caller);
	assert_int_equal(http_caller_answer(c, &guests[0].caller), 0);
	go_all(guests, ALL);
}

/* A flood of one network's: each that comes takes the place of one that came before, and nobody waits. */
static void a_flood_never_grows_beyond_the_spare_places(void **state)
{
	enum { MAX = 10, FLOOD = 500 };
	struct guest *flood = calloc(FLOOD, sizeof(*flood)), other;
	unsigned cut;

	(void)state;
	start(MAX, LONG_MS, LONG_MS);
	come_all(flood, FLOOD, "flood");
	cut = count_cut_off(flood, FLOOD);
	assert_true(FLOOD - cut >= MAX && FLOOD - cut <= MAX + HTTP_CALLERS_SPARE);
	come_all(&other, 1, "other");
	assert_false(is_cut_off(&other, 0));
	assert_int_equal(count_cut_off(flood, FLOOD), cut + 1);
	go_all(flood, FLOOD);
	go(&other);
	free(flood);
}

/* ---- deadlines ---- */

static void a_request_that_takes_too_long_is_cut_off(void **state)
{
	int64_t late = counters_read(COUNT_HTTP_LATE);
	struct guest g;

	(void)state;
	start(2, SHORT_MS, LONG_MS);
	come_all(&g, 1, "a");
	assert_true(is_cut_off(&g, UNTIL_SECONDS * 1000));
	assert_int_equal(counters_read(COUNT_HTTP_LATE) - late, 1);
	go(&g);
}

/* Not only the first one: what it may be idle for is not time for a request. */
static void the_next_request_that_takes_too_long_is_cut_off(void **state)
{
	struct guest g;

	(void)state;
	start(2, SHORT_MS, LONG_MS);
	come_all(&g, 1, "a");
	be_served(&g);
	assert_false(is_cut_off(&g, 3 * SHORT_MS));
	assert_true(http_caller_ask(c, &g.caller));
	assert_true(is_cut_off(&g, UNTIL_SECONDS * 1000));
	go(&g);
}

static void who_is_idle_for_too_long_is_cut_off_and_that_is_no_fault(void **state)
{
	int64_t late = counters_read(COUNT_HTTP_LATE);
	struct guest g;

	(void)state;
	start(2, LONG_MS, SHORT_MS);
	come_all(&g, 1, "a");
	be_served(&g);
	assert_true(is_cut_off(&g, UNTIL_SECONDS * 1000));
	assert_int_equal(counters_read(COUNT_HTTP_LATE) - late, 0);
	go(&g);
}

static void a_handler_takes_its_time(void **state)
{
	struct guest slow, late;

	(void)state;
	start(2, SHORT_MS, LONG_MS);
	come_all(&slow, 1, "a");
	assert_int_equal(http_caller_answer(c, &slow.caller), 0);
	come_all(&late, 1, "a");
	/* The watchdog has looked at both by then. */
	assert_true(is_cut_off(&late, UNTIL_SECONDS * 1000));
	assert_false(is_cut_off(&slow, 0));
	http_caller_reply(c, &slow.caller);
	go(&slow);
	go(&late);
}

/* An answer has a minute. The clock is stopped so far back that the watchdog, which sleeps by the real one, is always too late and
 * looks again at once. */
static void an_answer_has_its_time(void **state)
{
	struct guest g;

	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	start(2, SHORT_MS, LONG_MS);
	come_all(&g, 1, "a");
	assert_int_equal(http_caller_answer(c, &g.caller), 0);
	http_caller_reply(c, &g.caller);
	seam_clock_advance((HTTP_CALLER_TAKE_SECONDS - 1) * CLOCK_SEC);
	assert_false(is_cut_off(&g, 2 * SHORT_MS));
	seam_clock_advance(2 * CLOCK_SEC);
	assert_true(is_cut_off(&g, UNTIL_SECONDS * 1000));
	go(&g);
}

/* ---- the end ---- */

static void *wait_left(void *arg)
{
	http_callers_wait_left(c);
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

static void the_end_waits_for_answers_and_takes_no_more_requests(void **state)
{
	struct guest busy, idle, late, more;
	atomic_bool done = false;
	pthread_t waiter;

	(void)state;
	start(4, LONG_MS, LONG_MS);
	come_all(&busy, 1, "a");
	come_all(&idle, 1, "a");
	come_all(&late, 1, "a");
	assert_int_equal(http_caller_answer(c, &busy.caller), 0);
	http_callers_end(c);
	assert_true(is_cut_off(&idle, 0));
	assert_int_equal(come(&more, "a"), -ESHUTDOWN);
	assert_int_equal(http_caller_answer(c, &late.caller), -ESHUTDOWN); /* a request that had come before */
	assert_false(http_caller_ask(c, &late.caller));
	assert_int_equal(pthread_create(&waiter, NULL, wait_left, &done), 0);
	go(&idle);
	go(&late);
	assert_false(is_cut_off(&busy, SHORT_MS));
	assert_false(atomic_load(&done));
	http_caller_reply(c, &busy.caller);
	assert_false(http_caller_rest(c, &busy.caller));
	go(&busy);
	assert_int_equal(pthread_join(waiter, NULL), 0);
}

static void who_does_not_take_its_last_answer_is_cut_off(void **state)
{
	struct guest g;
	atomic_bool done = false;
	pthread_t waiter;

	(void)state;
	start(1, SHORT_MS, LONG_MS);
	come_all(&g, 1, "a");
	assert_int_equal(http_caller_answer(c, &g.caller), 0);
	http_caller_reply(c, &g.caller);
	http_callers_end(c);
	assert_int_equal(pthread_create(&waiter, NULL, wait_left, &done), 0);
	assert_true(is_cut_off(&g, UNTIL_SECONDS * 1000));
	go(&g);
	assert_int_equal(pthread_join(waiter, NULL), 0);
}

/* ---- hanging up, and bad luck ---- */

static void who_has_hung_up_is_seen_at_once(void **state)
{
	struct guest g;

	(void)state;
	start(1, LONG_MS, LONG_MS);
	come_all(&g, 1, "a");
	assert_false(http_caller_is_gone(&g.caller));
	assert_int_equal(send(g.client, "GET", 3, 0), 3);
	assert_false(http_caller_is_gone(&g.caller));
	assert_int_equal(shutdown(g.client, SHUT_WR), 0);
	assert_true(http_caller_is_gone(&g.caller));
	go(&g);
}

static void without_memory_or_thread_nothing_is_left(void **state)
{
	const struct http_callers_options opt = {.max = 1, .timeout_ms = LONG_MS, .idle_ms = LONG_MS};
	struct guest g;

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(http_callers_start(&opt, &c), -ENOMEM);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(http_callers_start(&opt, &c), -EAGAIN);
	assert_null(c);
	start(1, LONG_MS, LONG_MS);
	for (unsigned after = 0; after < 3; after++) {
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(come(&g, "a"), -ENOMEM);
	}
	seam_reset();
	come_all(&g, 1, "a"); /* the place was not used up */
	go(&g);
}

#define callers_test(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		callers_test(who_has_been_idle_longest_makes_place),
		callers_test(who_has_sent_the_next_request_is_not_cut_off),
		callers_test(whose_request_is_slow_to_come_makes_place_for_one_of_its_network),
		callers_test(who_does_not_take_its_answer_makes_place_for_others),
		callers_test(the_network_that_has_most_makes_place_for_others),
		callers_test(the_last_places_are_for_probes_and_then_there_is_none),
		callers_test(a_flood_never_grows_beyond_the_spare_places),
		callers_test(a_request_that_takes_too_long_is_cut_off),
		callers_test(the_next_request_that_takes_too_long_is_cut_off),
		callers_test(who_is_idle_for_too_long_is_cut_off_and_that_is_no_fault),
		callers_test(a_handler_takes_its_time),
		callers_test(an_answer_has_its_time),
		callers_test(the_end_waits_for_answers_and_takes_no_more_requests),
		callers_test(who_does_not_take_its_last_answer_is_cut_off),
		callers_test(who_has_hung_up_is_seen_at_once),
		callers_test(without_memory_or_thread_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
