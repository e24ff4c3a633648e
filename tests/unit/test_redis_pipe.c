/* Tests of common/redis/redis_pipe: many callers, one connection, in order. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/park.h"
#include "common/base/thread.h"
#include "common/redis/redis_pipe.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define SHORT_NS (50 * CLOCK_MS)
#define LONG_NS  (10 * CLOCK_SEC)
#define THREADS  8
#define CALLS    200

/* ECHO is answered with its argument; the rest as the counters say. */
struct script {
	pthread_mutex_t mutex;
	char heard[CALLS * THREADS * 8]; /* the arguments of ECHO, a space after each */
	char echo[64];
	atomic_int close_at;  /* the so-manieth ECHO closes the connection, unanswered */
	atomic_bool silent;   /* ECHO is heard and not answered */
	atomic_int read_only; /* so many ECHOs are refused by a replica */
	atomic_int hellos;
};

static struct script script;
static struct fake_redis server;
static struct redis_pipe *pipe_;

static const char *echo(struct script *s, const char *what)
{
	size_t n;

	if (atomic_load(&s->read_only) > 0) {
		atomic_fetch_sub(&s->read_only, 1);
		return "-READONLY You can't write against a read only replica.\r\n";
	}
	(void)pthread_mutex_lock(&s->mutex);
	n = strlen(s->heard);
	(void)snprintf(s->heard + n, sizeof(s->heard) - n, "%s ", what);
	(void)pthread_mutex_unlock(&s->mutex);
	if (atomic_load(&s->close_at) > 0 && atomic_fetch_sub(&s->close_at, 1) == 1)
		return NULL;
	if (atomic_load(&s->silent))
		return "";
	(void)snprintf(s->echo, sizeof(s->echo), "$%zu\r\n%s\r\n", strlen(what), what);
	return s->echo;
}

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;

	if (argc == 2 && strcmp(argv[0], "ECHO") == 0)
		return echo(s, argv[1]);
	if (strcmp(argv[0], "PING") == 0)
		atomic_fetch_add(&s->hellos, 1);
	return fake_redis_hello(argc, argv);
}

static int set_up(void **state)
{
	const struct redis_options opt = {.addr = server.addr,
					  .sentinels = "",
					  .prefix = "comet",
					  .user = "",
					  .password = "",
					  .timeout_ms = 500,
					  .name = "test"};

	(void)state;
	memset(&script, 0, sizeof(script));
	(void)pthread_mutex_init(&script.mutex, NULL);
	fake_redis_start(&server, answer, &script);
	assert_int_equal(redis_pipe_start(&opt, &pipe_), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	if (pipe_ != NULL)
		redis_pipe_stop(&pipe_);
	fake_redis_stop(&server);
	(void)pthread_mutex_destroy(&script.mutex);
	return 0;
}

static int64_t in(int64_t ns)
{
	return clock_now_ns() + ns;
}

static int call(enum redis_repeat repeat, int64_t ns, const char *what)
{
	struct redisReply *reply;
	int rc = redis_pipe_call(pipe_, repeat, in(ns), &reply, "ECHO %s", what);

	if (rc == 0) {
		assert_string_equal(reply->str, what);
		freeReplyObject(reply);
	}
	return rc;
}

static void heard_is(const char *what)
{
	(void)pthread_mutex_lock(&script.mutex);
	assert_string_equal(script.heard, what);
	(void)pthread_mutex_unlock(&script.mutex);
}

static void a_call_gets_its_own_reply(void **state)
{
	(void)state;
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "a"), 0);
	assert_int_equal(call(REDIS_AGAIN, LONG_NS, "b"), 0);
	assert_int_equal(redis_pipe_call(pipe_, REDIS_ONCE, in(LONG_NS), NULL, "ECHO c"), 0);
	heard_is("a b c ");
	assert_int_equal(script.hellos, 1);
}

static void *call_many(void *arg)
{
	for (int i = 0; i < CALLS; i++) {
		char what[32];

		(void)snprintf(what, sizeof(what), "%d-%d", (int)(intptr_t)arg, i);
		if (call(REDIS_AGAIN, LONG_NS, what) != 0)
			return arg;
	}
	return NULL;
}

static void many_threads_share_one_connection(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (intptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_many, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(script.hellos, 1);
}

static void many_under_way_are_answered_in_order(void **state)
{
	struct redis_call *calls[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(redis_pipe_begin(pipe_, REDIS_ONCE, in(LONG_NS), &calls[i], "ECHO %d", i), 0);
	for (int i = 4; i >= 0; i--) {
		struct redisReply *reply;

		assert_int_equal(redis_pipe_end(pipe_, calls[i], &reply), 0);
		assert_int_equal(atoi(reply->str), i);
		freeReplyObject(reply);
	}
	heard_is("0 1 2 3 4 ");
}

static void what_may_be_repeated_goes_out_again_in_its_order(void **state)
{
	struct redis_call *calls[4];

	(void)state;
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "x"), 0);
	/* The second of the batch closes the connection; the first of it was answered or not, as the kernel likes. */
	script.close_at = 2;
	for (int i = 0; i < 4; i++)
		assert_int_equal(redis_pipe_begin(pipe_, REDIS_AGAIN, in(LONG_NS), &calls[i], "ECHO %d", i), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(redis_pipe_end(pipe_, calls[i], NULL), 0);
	(void)pthread_mutex_lock(&script.mutex);
	assert_memory_equal(script.heard, "x 0 1 ", 6);
	assert_string_equal(script.heard + strlen(script.heard) - 6, "1 2 3 ");
	(void)pthread_mutex_unlock(&script.mutex);
	assert_int_equal(script.hellos, 2);
}

static void what_may_not_be_repeated_fails_with_the_connection(void **state)
{
	(void)state;
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "x"), 0);
	script.close_at = 1;
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "once"), -ECONNRESET);
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "y"), 0);
	heard_is("x once y ");
}

static void a_reply_that_does_not_come_is_a_timeout_for_its_caller_only(void **state)
{
	(void)state;
	/* Of the time that the next may take none is for the connection. */
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "first"), 0);
	script.silent = true;
	assert_int_equal(call(REDIS_ONCE, SHORT_NS, "lost"), -ETIMEDOUT);
	script.silent = false;
	/* The connection is given up after redis.timeout, and this goes over the next one. */
	assert_int_equal(call(REDIS_AGAIN, LONG_NS, "next"), 0);
	heard_is("first lost next ");
}

/* ---- a park's thread, which serves others in the place of its wait ---- */

enum { WAITS, TAKES_LONG, COMES_THEN, GUESTS };
static struct parked guests[GUESTS];
static struct park *lot;
static atomic_int guests_done, waited_rc, nested;

static void resume(struct parked *p)
{
	atomic_fetch_add(&nested, park_is_nested());
	if (p == &guests[WAITS]) {
		until(atomic_load(&guests_done) == -1); /* all are ready */
		atomic_store(&guests_done, 0);
		atomic_store(&waited_rc, call(REDIS_ONCE, SHORT_NS, "lost"));
	} else if (p == &guests[TAKES_LONG]) {
		const int64_t end_ns = in(2 * SHORT_NS);

		until(clock_now_ns() > end_ns);
	}
	atomic_fetch_add(&guests_done, 1);
}

static void who_is_late_serves_no_more_others_first(void **state)
{
	const struct park_options opt = {"waiter", THREAD_SERVICE, 1, 4, resume, 3};

	(void)state;
	script.silent = true;
	memset(guests, 0, sizeof(guests));
	atomic_store(&waited_rc, 1);
	atomic_store(&nested, 0);
	assert_int_equal(park_start(&opt, &lot), 0);
	for (unsigned i = 0; i < GUESTS; i++) {
		park_asleep(lot, &guests[i]);
		park_wake(lot, &guests[i]);
	}
	atomic_store(&guests_done, -1);
	until(atomic_load(&guests_done) == GUESTS);
	assert_int_equal(atomic_load(&waited_rc), -ETIMEDOUT);
	assert_int_equal(atomic_load(&nested), 1); /* the other one was another thread's, or came behind */
	park_stop(&lot);
	until(thread_reap() == 0);
	thread_fini();
}

static void a_replica_is_left_for_the_master(void **state)
{
	(void)state;
	script.read_only = 1;
	assert_int_equal(call(REDIS_AGAIN, LONG_NS, "a"), 0);
	assert_int_equal(script.hellos, 2);
	script.read_only = 1;
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "b"), -EROFS);
}

/* There is no other: each connection stands, and is of no use. 20 a second before. */
static void a_replica_alone_is_asked_less_and_less_often(void **state)
{
	(void)state;
	script.read_only = 1000;
	assert_true(call(REDIS_AGAIN, 2 * CLOCK_SEC, "a") < 0);
	assert_in_range(script.hellos, 2, 10);
	script.read_only = 0;
	assert_int_equal(call(REDIS_AGAIN, LONG_NS, "b"), 0);
}

static void an_idle_connection_that_was_closed_costs_no_call(void **state)
{
	(void)state;
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "a"), 0);
	/* A posted command closes it, behind everybody's back. */
	script.close_at = 1;
	assert_int_equal(redis_pipe_post(pipe_, in(LONG_NS), "ECHO posted"), 0);
	until(atomic_load(&script.close_at) == 0);
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "b"), 0);
	heard_is("a posted b ");
}

static void without_a_server_calls_end_at_their_deadline(void **state)
{
	struct redis_call *call_;

	(void)state;
	redis_pipe_stop(&pipe_);
	assert_int_equal(redis_pipe_start(&(struct redis_options){.addr = "127.0.0.1:1",
								  .sentinels = "",
								  .prefix = "comet",
								  .user = "",
								  .password = "",
								  .timeout_ms = 500,
								  .name = "test"},
					  &pipe_),
			 0);
	assert_int_equal(call(REDIS_AGAIN, SHORT_NS, "a"), -ETIMEDOUT);
	assert_int_equal(redis_pipe_post(pipe_, in(SHORT_NS), "ECHO b"), 0);
	/* One that is still under way when the pipe ends. */
	assert_int_equal(redis_pipe_begin(pipe_, REDIS_AGAIN, in(SHORT_NS), &call_, "ECHO c"), 0);
	assert_int_equal(redis_pipe_end(pipe_, call_, NULL), -ETIMEDOUT);
}

static void more_than_may_wait_is_told_at_once(void **state)
{
	int rc = 0;
	int n;

	(void)state;
	redis_pipe_stop(&pipe_);
	assert_int_equal(redis_pipe_start(&(struct redis_options){.addr = "127.0.0.1:1",
								  .sentinels = "",
								  .prefix = "comet",
								  .user = "",
								  .password = "",
								  .timeout_ms = 500,
								  .name = "test"},
					  &pipe_),
			 0);
	for (n = 0; rc == 0 && n < 100000; n++)
		rc = redis_pipe_post(pipe_, in(10 * LONG_NS), "ECHO x");
	assert_int_equal(rc, -EAGAIN);
	assert_int_equal(n, 65537);
}

static void without_memory_nothing_is_queued(void **state)
{
	(void)state;
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "a"), 0);
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "b"), -ENOMEM);
	seam_reset();
	assert_int_equal(call(REDIS_ONCE, LONG_NS, "c"), 0);
	heard_is("a c ");
}

static void without_threads_there_is_no_pipe(void **state)
{
	struct redis_pipe *none = NULL;

	(void)state;
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(
		redis_pipe_start(&(struct redis_options){.addr = server.addr, .prefix = "comet", .name = "test"},
				 &none),
		-EAGAIN);
	seam_reset();
	seam_fail(SEAM_ALLOC, 1, 1, ENOMEM);
	assert_int_equal(
		redis_pipe_start(&(struct redis_options){.addr = server.addr, .prefix = "comet", .name = "test"},
				 &none),
		-ENOMEM);
	assert_null(none);
}

#define pipe_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		pipe_test(a_call_gets_its_own_reply),
		pipe_test(many_threads_share_one_connection),
		pipe_test(many_under_way_are_answered_in_order),
		pipe_test(what_may_be_repeated_goes_out_again_in_its_order),
		pipe_test(what_may_not_be_repeated_fails_with_the_connection),
		pipe_test(a_reply_that_does_not_come_is_a_timeout_for_its_caller_only),
		pipe_test(who_is_late_serves_no_more_others_first),
		pipe_test(a_replica_is_left_for_the_master),
		pipe_test(a_replica_alone_is_asked_less_and_less_often),
		pipe_test(an_idle_connection_that_was_closed_costs_no_call),
		pipe_test(without_a_server_calls_end_at_their_deadline),
		pipe_test(more_than_may_wait_is_told_at_once),
		pipe_test(without_memory_nothing_is_queued),
		pipe_test(without_threads_there_is_no_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
