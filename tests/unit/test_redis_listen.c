/* Tests of common/redis/redis_listen: a subscription outlives its connection. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/redis/redis_listen.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/until.h"

#define SUBSCRIBED "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
#define MESSAGE    "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"

/* What the first tries to subscribe are answered with; NULL closes. Later ones succeed, and a message follows. */
static struct script {
	const char *first;
	int firsts;
	atomic_int tries;
} script;

static struct fake_redis server;
static struct redis *redis;
static pthread_t thread;
static atomic_int messages, losses;
static int64_t refused;

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;

	if (strcmp(argv[0], "SUBSCRIBE") != 0)
		return fake_redis_hello(argc, argv);
	return atomic_fetch_add(&s->tries, 1) < s->firsts ? s->first : SUBSCRIBED MESSAGE;
}

static void take(void *self, struct redisReply *reply)
{
	(void)self;
	if (redis_listen_text(reply) != NULL)
		atomic_fetch_add(&messages, 1);
	freeReplyObject(reply);
}

static void lost(void *self)
{
	(void)self;
	atomic_fetch_add(&losses, 1);
}

static void *run(void *arg)
{
	redis_listen(redis, &(struct redis_listener){.channel = "c", .take = take, .lost = lost});
	return arg;
}

static void start(const char *first, int firsts)
{
	const struct redis_options opt = {
		.addr = server.addr, .sentinels = "", .user = "", .password = "", .timeout_ms = 2000, .name = "test"};

	script.first = first;
	script.firsts = firsts;
	assert_int_equal(redis_new(&opt, &redis), 0);
	assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
}

static int set_up(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	atomic_store(&messages, 0);
	atomic_store(&losses, 0);
	refused = counters_read(COUNT_REDIS_NOT_SUBSCRIBED);
	fake_redis_start(&server, answer, &script);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	redis_stop(redis);
	assert_int_equal(pthread_join(thread, NULL), 0);
	redis_free(&redis);
	fake_redis_stop(&server);
	return 0;
}

static void what_is_published_is_taken(void **state)
{
	(void)state;
	start(NULL, 0);
	until(atomic_load(&messages) == 1);
	assert_int_equal(atomic_load(&losses), 0);
}

static void a_connection_that_breaks_is_subscribed_again(void **state)
{
	(void)state;
	start(NULL, 2);
	until(atomic_load(&messages) == 1);
	assert_int_equal(atomic_load(&script.tries), 3);
	assert_int_equal(atomic_load(&losses), 2);
}

/* On the same connection, a second later. */
static void a_subscription_that_is_refused_is_asked_for_again(void **state)
{
	(void)state;
	start("-NOPERM this user has no permissions to access the channel\r\n", 1);
	until(atomic_load(&messages) == 1);
	assert_int_equal(atomic_load(&script.tries), 2);
	assert_int_equal(atomic_load(&losses), 1);
}

/* The answer to PING of a Redis that cannot write to its disk. */
static void an_error_while_the_subscription_stands_is_no_refusal_of_it(void **state)
{
	char words[160] = "";

	(void)state;
	start(SUBSCRIBED "-MISCONF Redis is configured to save RDB snapshots\r\n" MESSAGE, 1);
	until(atomic_load(&messages) == 1);
	assert_false(redis_is_down(redis, 0, words, sizeof(words)));
	assert_string_equal(words, "");
	assert_int_equal(counters_read(COUNT_REDIS_NOT_SUBSCRIBED), refused);
	assert_int_equal(atomic_load(&script.tries), 1);
	assert_int_equal(atomic_load(&losses), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_published_is_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_connection_that_breaks_is_subscribed_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_subscription_that_is_refused_is_asked_for_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_error_while_the_subscription_stands_is_no_refusal_of_it, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("redis_listen", tests, NULL, NULL);
}
