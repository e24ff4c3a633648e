/* Tests of scripts in common/redis/redis_pipe and cluster/script: the text goes to a server that does not know it, the hash to one
 * that does. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <hiredis/hiredis.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "cluster/script.h"
#include "common/base/clock.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/until.h"

#define LONG_NS (10 * CLOCK_SEC)

/* Each use of script_next_number is answered with ":1", one of `many` with the arguments, and HOLD when the test lets it go. */
static struct heard {
	char words[512];     /* EVAL or EVALSHA and the first argument of each call */
	atomic_int forgets;  /* so many EVALSHAs find nothing */
	atomic_int refuses;  /* so many EVALs fail */
	atomic_int close_at; /* the so-manieth use closes the connection */
	atomic_int strays;   /* so many answers of `many` are too short */
	atomic_bool holds;
	sem_t go;
} heard;

static const char many_text[] = "return ARGV";
static const struct redis_script many = {"many", many_text, many_text + sizeof(many_text) - 1, -1, REDIS_AGAIN, true};

static struct fake_redis server;
static struct config cfg;
static struct redis_pipe *pipe_;

static const char *answer_many(struct heard *h, int argc, char **argv)
{
	static char says[1024];
	const int calls = (argc - 4) / 2 - (atomic_fetch_sub(&h->strays, 1) > 0);
	size_t n = strlen(h->words), at = (size_t)snprintf(says, sizeof(says), "*%d\r\n", calls);

	n += (size_t)snprintf(h->words + n, sizeof(h->words) - n, "%s", argv[0]);
	for (int i = 4; i < argc; i += 2) {
		assert_string_equal(argv[i], "1");
		n += (size_t)snprintf(h->words + n, sizeof(h->words) - n, " %.8s", argv[i + 1]);
	}
	(void)snprintf(h->words + n, sizeof(h->words) - n, ", ");
	if (strcmp(argv[0], "EVALSHA") == 0 && atomic_fetch_sub(&h->forgets, 1) > 0)
		return "-NOSCRIPT No matching script. Please use EVAL.\r\n";
	for (int i = 0; i < calls; i++) {
		const char *word = argv[5 + 2 * i];

		at += (size_t)snprintf(says + at, sizeof(says) - at,
				       strcmp(word, "!") == 0 ? "-OOM of %.8s\r\n" : "+%.8s\r\n", word);
	}
	return says;
}

static const char *answer(void *arg, int argc, char **argv)
{
	struct heard *h = arg;
	size_t n = strlen(h->words);

	if (strcmp(argv[0], "HOLD") == 0) {
		atomic_store(&h->holds, true);
		(void)sem_wait(&h->go);
		return ":1\r\n";
	}
	if (!fake_redis_runs(argv, "next_number"))
		return fake_redis_runs(argv, NULL) ? answer_many(h, argc, argv) : fake_redis_hello(argc, argv);
	assert_int_equal(argc, 6);
	assert_string_equal(argv[2], "1");
	assert_string_equal(argv[3], "comet:");
	assert_string_equal(argv[5], "ttl");
	(void)snprintf(h->words + n, sizeof(h->words) - n, "%s %s, ", argv[0], argv[4]);
	if (atomic_load(&h->close_at) > 0 && atomic_fetch_sub(&h->close_at, 1) == 1)
		return NULL;
	if (strcmp(argv[0], "EVALSHA") == 0 && atomic_fetch_sub(&h->forgets, 1) > 0)
		return "-NOSCRIPT No matching script. Please use EVAL.\r\n";
	if (strcmp(argv[0], "EVAL") == 0 && atomic_fetch_sub(&h->refuses, 1) > 0)
		return "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
	return ":1\r\n";
}

static int set_up(void **state)
{
	(void)state;
	memset(&heard, 0, sizeof(heard));
	assert_int_equal(sem_init(&heard.go, 0, 0), 0);
	fake_redis_start(&server, answer, &heard);
	fake_redis_config(&server, &cfg);
	pipe_ = fake_redis_pipe(&cfg);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	redis_pipe_stop(&pipe_);
	fake_redis_stop(&server);
	config_fini(&cfg);
	(void)sem_destroy(&heard.go);
	return 0;
}

static int run(const char *what)
{
	return script_run(pipe_, &script_next_number, clock_now_ns() + LONG_NS, NULL, "%s ttl", what);
}

static void begin(const char *what, struct redis_call **call)
{
	const char *argv[] = {what, "ttl"};

	assert_int_equal(script_beginv(pipe_, &script_next_number, clock_now_ns() + LONG_NS, call, 2, argv, NULL), 0);
}

/* What is begun in between is one batch, since the one before has not been answered yet. */
static struct redis_call *hold(void)
{
	struct redis_call *call;

	atomic_store(&heard.holds, false);
	assert_int_equal(redis_pipe_begin(pipe_, REDIS_ONCE, clock_now_ns() + LONG_NS, &call, "HOLD"), 0);
	until(atomic_load(&heard.holds));
	return call;
}

static void let_go(struct redis_call *call)
{
	(void)sem_post(&heard.go);
	assert_int_equal(redis_pipe_end(pipe_, call, NULL), 0);
}

static void begin_together(const char *first, const char *second, struct redis_call *calls[2])
{
	struct redis_call *held = hold();

	begin(first, &calls[0]);
	begin(second, &calls[1]);
	let_go(held);
}

static void begin_many(const char *what, struct redis_call **call)
{
	assert_int_equal(script_beginv(pipe_, &many, clock_now_ns() + LONG_NS, call, 1, &what, NULL), 0);
}

/* Its end is this, and with 0 what it was called with comes back. */
static void many_ends(struct redis_call *call, int rc, const char *what)
{
	struct redisReply *reply = NULL;

	assert_int_equal(redis_pipe_end(pipe_, call, &reply), rc);
	if (rc == 0)
		assert_string_equal(reply->str, what);
	if (reply != NULL)
		freeReplyObject(reply);
}

static void the_text_goes_out_once_a_connection(void **state)
{
	const char *argv[] = {"b", "ttl"};

	(void)state;
	assert_int_equal(run("a"), 0);
	assert_int_equal(script_runv(pipe_, &script_next_number, clock_now_ns() + LONG_NS, NULL, 2, argv), 0);
	heard.close_at = 1;
	assert_int_equal(run("c"), 0);
	assert_int_equal(run("d"), 0);
	assert_string_equal(heard.words, "EVAL a, EVALSHA b, EVALSHA c, EVAL c, EVALSHA d, ");
}

static void a_server_that_forgot_the_script_gets_it_again(void **state)
{
	(void)state;
	assert_int_equal(run("a"), 0);
	heard.forgets = 1;
	assert_int_equal(run("b"), 0);
	assert_int_equal(run("c"), 0);
	assert_string_equal(heard.words, "EVAL a, EVALSHA b, EVAL b, EVALSHA c, ");
}

/* An EVAL that failed need not have left the script behind. */
static void after_an_error_the_text_goes_out_again(void **state)
{
	(void)state;
	heard.refuses = 1;
	assert_int_equal(run("a"), -ENOSPC);
	assert_int_equal(run("b"), 0);
	assert_string_equal(heard.words, "EVAL a, EVAL b, ");
}

/* Another client may bring it in the middle. Who did not find it says so: to do it again is the caller's business. */
static void in_a_batch_each_that_was_not_done_says_so(void **state)
{
	struct redis_call *calls[2];

	(void)state;
	assert_int_equal(run("a"), 0);
	heard.forgets = 1;
	begin_together("b", "c", calls);
	assert_int_equal(redis_pipe_end(pipe_, calls[0], NULL), -ENOEXEC);
	assert_int_equal(redis_pipe_end(pipe_, calls[1], NULL), 0);
	assert_int_equal(run("d"), 0);
	assert_string_equal(heard.words, "EVAL a, EVALSHA b, EVALSHA c, EVAL d, ");
}

/* One that was sent before may have been done then. */
static void of_a_repetition_nobody_says_that_it_was_not_done(void **state)
{
	struct redis_call *calls[2];

	(void)state;
	assert_int_equal(run("a"), 0);
	heard.close_at = 1;
	heard.forgets = 1;
	begin_together("b", "c", calls);
	/* On the new connection the first brings the text, which the second does not find. */
	assert_int_equal(redis_pipe_end(pipe_, calls[0], NULL), 0);
	assert_int_equal(redis_pipe_end(pipe_, calls[1], NULL), -ECONNRESET);
	assert_string_equal(heard.words, "EVAL a, EVALSHA b, EVAL b, EVALSHA c, ");
}

/* Where they stand one behind the other: the order stays that of the calls. */
static void calls_of_a_script_of_many_go_out_together(void **state)
{
	struct redis_call *calls[3], *other, *last, *held = hold();

	(void)state;
	begin_many("a", &calls[0]);
	begin_many("b", &calls[1]);
	begin_many("c", &calls[2]);
	begin("x", &other);
	begin_many("d", &last);
	let_go(held);
	many_ends(last, 0, "d");
	many_ends(calls[0], 0, "a");
	many_ends(calls[1], 0, "b");
	many_ends(calls[2], 0, "c");
	assert_int_equal(redis_pipe_end(pipe_, other, NULL), 0);
	assert_string_equal(heard.words, "EVAL a b c, EVAL x, EVALSHA d, ");
}

static void no_more_go_out_together_than_redis_is_to_do_at_once(void **state)
{
	static char large[REDIS_SCRIPT_CALLS_BYTES / 2];
	struct redis_call *calls[REDIS_SCRIPT_CALLS_MAX + 1], *held = hold();
	char words[REDIS_SCRIPT_CALLS_MAX * 2 + 32] = "EVAL";

	(void)state;
	for (size_t i = 0; i <= REDIS_SCRIPT_CALLS_MAX; i++)
		begin_many("a", &calls[i]);
	let_go(held);
	for (size_t i = 0; i <= REDIS_SCRIPT_CALLS_MAX; i++)
		many_ends(calls[i], 0, "a");
	for (size_t i = 0; i < REDIS_SCRIPT_CALLS_MAX; i++)
		memcpy(words + strlen("EVAL") + 2 * i, " a", sizeof(" a"));
	memcpy(words + strlen(words), ", EVALSHA a, ", sizeof(", EVALSHA a, "));
	assert_string_equal(heard.words, words);

	heard.words[0] = '\0';
	memset(large, 'l', sizeof(large) - 1);
	held = hold();
	for (size_t i = 0; i < 3; i++)
		begin_many(i == 0 ? "s" : large, &calls[i]);
	let_go(held);
	for (size_t i = 0; i < 3; i++)
		many_ends(calls[i], 0, i == 0 ? "s" : "llllllll");
	assert_string_equal(heard.words, "EVALSHA s llllllll, EVALSHA llllllll, ");
}

/* Or, where nothing was done, that of all. */
static void an_error_among_many_is_that_of_one(void **state)
{
	struct redis_call *calls[3], *held = hold();

	(void)state;
	begin_many("a", &calls[0]);
	begin_many("!", &calls[1]);
	begin_many("c", &calls[2]);
	let_go(held);
	many_ends(calls[0], 0, "a");
	many_ends(calls[1], -ENOSPC, NULL);
	many_ends(calls[2], 0, "c");
	begin_many("d", &calls[0]);
	many_ends(calls[0], 0, "d");

	heard.forgets = 1;
	held = hold();
	begin_many("e", &calls[0]);
	begin_many("f", &calls[1]);
	let_go(held);
	many_ends(calls[0], -ENOEXEC, NULL);
	many_ends(calls[1], -ENOEXEC, NULL);
	assert_string_equal(heard.words, "EVAL a ! c, EVAL d, EVALSHA e f, ");
}

/* Nobody knows whose answer is whose: on another connection they are asked again. */
static void answers_to_other_calls_are_answers_to_none(void **state)
{
	struct redis_call *calls[2], *held = hold();

	(void)state;
	heard.strays = 1;
	begin_many("a", &calls[0]);
	begin_many("b", &calls[1]);
	let_go(held);
	many_ends(calls[0], 0, "a");
	many_ends(calls[1], 0, "b");
	assert_string_equal(heard.words, "EVAL a b, EVAL a b, ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_text_goes_out_once_a_connection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_server_that_forgot_the_script_gets_it_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(after_an_error_the_text_goes_out_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(in_a_batch_each_that_was_not_done_says_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(of_a_repetition_nobody_says_that_it_was_not_done, set_up, tear_down),
		cmocka_unit_test_setup_teardown(calls_of_a_script_of_many_go_out_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_more_go_out_together_than_redis_is_to_do_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_error_among_many_is_that_of_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(answers_to_other_calls_are_answers_to_none, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("redis_script", tests, NULL, NULL);
}
