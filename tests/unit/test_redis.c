/* Tests of common/redis/redis: how a connection comes up, ends, and comes up again. SPDX-License-Identifier: MIT */
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
#include <sys/resource.h>

#include "common/base/clock.h"
#include "common/redis/redis.h"
#include "common/redis/redis_ready.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"

#define SHORT_NS (50 * CLOCK_MS)
#define LONG_NS  (10 * CLOCK_SEC)

/* What the server has heard, in short, and how it behaves. */
struct script {
	char heard[4096];
	pthread_mutex_t mutex;
	_Atomic(const char *) to_get; /* the answer to GET; NULL closes */
	atomic_int refuse;            /* so many PINGs get this answer */
	const char *refusal;
	const char *master; /* what a sentinel says */
	_Atomic(const char *) role;
};

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;

	(void)pthread_mutex_lock(&s->mutex);
	for (int i = 0; i < argc; i++) {
		(void)strncat(s->heard, argv[i], sizeof(s->heard) - strlen(s->heard) - 2);
		(void)strncat(s->heard, i + 1 < argc ? " " : ";", 2);
	}
	(void)pthread_mutex_unlock(&s->mutex);
	if (strcmp(argv[0], "GET") == 0)
		return s->to_get;
	if (strcmp(argv[0], "SENTINEL") == 0)
		return s->master;
	if (strcmp(argv[0], "ROLE") == 0 && s->role != NULL)
		return s->role;
	if (strcmp(argv[0], "PING") == 0 && atomic_load(&s->refuse) > 0) {
		atomic_fetch_sub(&s->refuse, 1);
		return s->refusal;
	}
	return fake_redis_hello(argc, argv);
}

static struct script script;
static struct fake_redis server;
static struct redis *redis;

static void start(struct redis_options opt)
{
	opt.name = "test";
	if (opt.addr == NULL)
		opt.addr = server.addr;
	if (opt.timeout_ms == 0)
		opt.timeout_ms = 2000;
	opt.sentinels = opt.sentinels != NULL ? opt.sentinels : "";
	opt.user = opt.user != NULL ? opt.user : "";
	opt.password = opt.password != NULL ? opt.password : "";
	opt.sentinel_user = opt.sentinel_user != NULL ? opt.sentinel_user : "";
	opt.sentinel_password = opt.sentinel_password != NULL ? opt.sentinel_password : "";
	opt.master = "house";
	assert_int_equal(redis_new(&opt, &redis), 0);
}

static int set_up(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	script.to_get = "$5\r\nvalue\r\n";
	(void)pthread_mutex_init(&script.mutex, NULL);
	fake_redis_start(&server, answer, &script);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	if (redis != NULL)
		redis_free(&redis);
	fake_redis_stop(&server);
	(void)pthread_mutex_destroy(&script.mutex);
	return 0;
}

static int64_t in(int64_t ns)
{
	return clock_now_ns() + ns;
}

static void assert_value(void)
{
	struct redisReply *reply;

	assert_int_equal(redis_ready(redis, in(LONG_NS), NULL), 0);
	assert_int_equal(redis_command(redis, in(LONG_NS), &reply, "GET %s", "a key"), 0);
	assert_string_equal(reply->str, "value");
	freeReplyObject(reply);
}

static void it_introduces_itself_and_then_works(void **state)
{
	bool fresh;

	(void)state;
	start((struct redis_options){.password = "secret", .db = 3});
	assert_false(redis_is_connected(redis));
	assert_int_equal(redis_ready(redis, in(LONG_NS), &fresh), 0);
	assert_true(fresh && redis_is_connected(redis));
	assert_int_equal(redis_ready(redis, in(LONG_NS), &fresh), 0);
	assert_false(fresh);
	assert_value();
	assert_string_equal(script.heard, "AUTH secret;SELECT 3;CLIENT SETNAME test;PING;GET a key;");
}

static void a_user_goes_with_the_password(void **state)
{
	(void)state;
	start((struct redis_options){.user = "comet", .password = "secret"});
	assert_int_equal(redis_ready(redis, in(LONG_NS), NULL), 0);
	assert_string_equal(script.heard, "AUTH comet secret;CLIENT SETNAME test;PING;");
}

static void a_server_that_is_loading_is_tried_again(void **state)
{
	(void)state;
	script.refuse = 2;
	script.refusal = "-LOADING Redis is loading the dataset in memory\r\n";
	start((struct redis_options){0});
	assert_value();
	assert_int_equal(script.refuse, 0);
}

static void nobody_there_is_a_timeout_in_time(void **state)
{
	int64_t begun = clock_now_ns();

	(void)state;
	start((struct redis_options){.addr = "127.0.0.1:1"});
	assert_int_equal(redis_ready(redis, in(SHORT_NS), NULL), -ETIMEDOUT);
	assert_true(clock_now_ns() - begun < LONG_NS);
}

static void an_address_without_a_port_is_no_crash(void **state)
{
	(void)state;
	start((struct redis_options){.addr = "localhost"});
	assert_int_equal(redis_ready(redis, in(SHORT_NS), NULL), -ETIMEDOUT);
}

static void an_answer_that_does_not_come_ends_the_connection(void **state)
{
	struct redisReply *reply;

	(void)state;
	script.to_get = "";
	start((struct redis_options){0});
	assert_int_equal(redis_ready(redis, in(LONG_NS), NULL), 0);
	assert_int_equal(redis_command(redis, in(SHORT_NS), &reply, "GET a"), -ETIMEDOUT);
	/* Its answer would be taken for that of the next command. */
	assert_false(redis_is_connected(redis));
	script.to_get = "$5\r\nvalue\r\n";
	assert_value();
}

static void a_wait_for_a_reply_ends_and_leaves_the_connection(void **state)
{
	struct redisReply *reply;

	(void)state;
	start((struct redis_options){0});
	assert_int_equal(redis_ready(redis, in(LONG_NS), NULL), 0);
	assert_int_equal(redis_read(redis, in(SHORT_NS), &reply), -ETIMEDOUT);
	assert_true(redis_is_connected(redis));
	assert_value();
}

static void a_closed_connection_is_made_again(void **state)
{
	struct redisReply *reply;
	bool fresh;

	(void)state;
	script.to_get = NULL;
	start((struct redis_options){0});
	assert_int_equal(redis_ready(redis, in(LONG_NS), &fresh), 0);
	assert_int_equal(redis_command(redis, in(LONG_NS), &reply, "GET a"), -ECONNRESET);
	script.to_get = "$5\r\nvalue\r\n";
	assert_int_equal(redis_ready(redis, in(LONG_NS), &fresh), 0);
	assert_true(fresh);
	assert_value();
}

static void what_is_no_reply_ends_the_connection(void **state)
{
	struct redisReply *reply;

	(void)state;
	script.to_get = "HTTP/1.1 400 Bad Request\r\n";
	start((struct redis_options){0});
	assert_int_equal(redis_ready(redis, in(LONG_NS), NULL), 0);
	assert_int_equal(redis_command(redis, in(LONG_NS), &reply, "GET a"), -EPROTO);
	assert_false(redis_is_connected(redis));
}

static void error_replies_have_codes(void **state)
{
	static const struct {
		const char *reply;
		int rc;
		bool of_connection;
	} errors[] = {
		{"-READONLY You can't write\r\n", -EROFS, true},
		{"-MASTERDOWN Link is down\r\n", -EROFS, true},
		{"-ERR user_script:1: -READONLY You can't\r\n", -EROFS, true},
		{"-LOADING\r\n", -EBUSY, true},
		{"-BUSY a script runs\r\n", -EBUSY, true},
		{"-NOAUTH Authentication required.\r\n", -EACCES, true},
		{"-NOPERM this user has no permissions to run the 'xadd' command\r\n", -EPERM, false},
		{"-OOM command not allowed\r\n", -ENOSPC, false},
		{"-MISCONF\r\n", -ENOSPC, false},
		{"-WRONGTYPE\r\n", -EPROTO, false},
	};
	struct redisReply *reply;

	(void)state;
	start((struct redis_options){0});
	assert_int_equal(redis_ready(redis, in(LONG_NS), NULL), 0);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		script.to_get = errors[i].reply;
		assert_int_equal(redis_command(redis, in(LONG_NS), &reply, "GET a"), errors[i].rc);
		assert_int_equal(redis_error_is_of_connection(errors[i].rc), errors[i].of_connection);
	}
}

static void *stop_it(void *arg)
{
	redis_stop(arg);
	return NULL;
}

static void stop_ends_a_wait_from_another_thread(void **state)
{
	struct redisReply *reply;
	pthread_t thread;

	(void)state;
	start((struct redis_options){0});
	assert_int_equal(redis_ready(redis, in(LONG_NS), NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, stop_it, redis), 0);
	assert_int_equal(redis_read(redis, in(LONG_NS), &reply), -ESHUTDOWN);
	assert_int_equal(redis_ready(redis, in(LONG_NS), NULL), -ESHUTDOWN);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- sentinels ---- */

static char said_master[128];

static void sentinel_says(const char *addr)
{
	const char *port = strchr(addr, ':') + 1;

	(void)snprintf(said_master, sizeof(said_master), "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(port), port);
	script.master = said_master;
}

static void the_first_sentinel_that_answers_says_where_the_master_is(void **state)
{
	char list[128];

	(void)state;
	sentinel_says(server.addr);
	(void)snprintf(list, sizeof(list), "127.0.0.1:1, %s", server.addr);
	start((struct redis_options){.addr = "127.0.0.1:1", .sentinels = list});
	assert_value();
	assert_string_equal(script.heard,
			    "SENTINEL get-master-addr-by-name house;CLIENT SETNAME test;PING;ROLE;GET a key;");
}

static void sentinels_have_a_user_and_a_password_of_their_own(void **state)
{
	(void)state;
	sentinel_says(server.addr);
	start((struct redis_options){
		.sentinels = server.addr, .password = "secret", .sentinel_user = "eye", .sentinel_password = "other"});
	assert_value();
	assert_string_equal(script.heard, "AUTH eye other;SENTINEL get-master-addr-by-name house;AUTH secret;"
					  "CLIENT SETNAME test;PING;ROLE;GET a key;");
}

static void one_that_says_itself_that_it_is_no_master_is_not_used(void **state)
{
	(void)state;
	sentinel_says(server.addr);
	script.role = "*1\r\n$5\r\nslave\r\n";
	start((struct redis_options){.sentinels = server.addr});
	assert_int_equal(redis_ready(redis, in(SHORT_NS), NULL), -ETIMEDOUT);
	assert_false(redis_is_connected(redis));
	script.role = NULL;
	assert_value();
}

static void a_sentinel_that_knows_no_such_master_is_no_help(void **state)
{
	(void)state;
	script.master = "*-1\r\n";
	start((struct redis_options){.sentinels = server.addr});
	assert_int_equal(redis_ready(redis, in(SHORT_NS), NULL), -ETIMEDOUT);
}

/* The answer to what was asked is still to come then, and would be taken for that to the next command. */
static void a_wait_that_fails_is_the_connections_end(void **state)
{
	struct rlimit before, none = {.rlim_cur = 1};

	(void)state;
	start((struct redis_options){0});
	assert_value();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0); /* poll with two of them says EINVAL */
	assert_int_equal(redis_command(redis, in(LONG_NS), NULL, "GET %s", "a key"), -EINVAL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_false(redis_is_connected(redis));
	assert_value();
}

static void without_memory_there_is_no_connection(void **state)
{
	const struct redis_options opt = {.addr = "", .name = "test"};

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(redis_new(&opt, &redis), -ENOMEM);
	assert_null(redis);
}

#define redis_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		redis_test(it_introduces_itself_and_then_works),
		redis_test(a_user_goes_with_the_password),
		redis_test(a_server_that_is_loading_is_tried_again),
		redis_test(nobody_there_is_a_timeout_in_time),
		redis_test(a_wait_that_fails_is_the_connections_end),
		redis_test(an_address_without_a_port_is_no_crash),
		redis_test(an_answer_that_does_not_come_ends_the_connection),
		redis_test(a_wait_for_a_reply_ends_and_leaves_the_connection),
		redis_test(a_closed_connection_is_made_again),
		redis_test(what_is_no_reply_ends_the_connection),
		redis_test(error_replies_have_codes),
		redis_test(stop_ends_a_wait_from_another_thread),
		redis_test(the_first_sentinel_that_answers_says_where_the_master_is),
		redis_test(sentinels_have_a_user_and_a_password_of_their_own),
		redis_test(one_that_says_itself_that_it_is_no_master_is_not_used),
		redis_test(a_sentinel_that_knows_no_such_master_is_no_help),
		redis_test(without_memory_there_is_no_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
