/* Tests of logic_client/redis_client: all connections are registered again when Redis has lost them.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/config/config.h"
#include "logic_client/redis_client.h"
#include "tests/unit/fake_logic.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

/* What the lease's script says, and what Redis has been told. */
static struct script {
	atomic_int to_lose;    /* so many more times it has lost the lease; the first time it is taken */
	atomic_int leases;     /* asked for */
	bool registering;      /* since one of them was lost */
	atomic_int registered; /* and not any more */
	atomic_int requests;
	atomic_bool subscribed;
	char new_key[64]; /* with the word before it, as the last connect proposed it */
	atomic_bool forgotten;
} script;

/* An instance of logic that is always up, and answers every request with these members. */
static _Atomic(const char *) logic_says;
/* But for those that have these words in them. */
static _Atomic(const char *) logic_refuses;

static struct fake_redis server;
static struct config cfg;
static struct redis_client *client;
/* How the walks go. */
static atomic_int walks, walked;
static atomic_int too_early; /* said to be registered before the last of them was over */
static int (*walk)(redis_client_each *each, void *arg);

/* A word of three or four letters, then epoch, time, generation, number, and all rooms are there. */
#define ANSWER(word) "*6\r\n" word "$4\r\n1000\r\n$13\r\n1700000000000\r\n$1\r\n5\r\n$1\r\n1\r\n$1\r\n1\r\n"
/* The script's arguments in EVAL or EVALSHA. */
enum { LEASE_EPOCH = 5, LEASE_REGISTERING = 11 };

static const char *lease(struct script *s, char **argv)
{
	bool registering = strcmp(argv[LEASE_REGISTERING], "1") == 0, loses = atomic_fetch_sub(&s->to_lose, 1) > 0;

	if (s->registering && !registering)
		atomic_fetch_add(&s->registered, 1);
	s->registering = registering || loses;
	atomic_fetch_add(&s->leases, 1);
	if (argv[LEASE_EPOCH][0] == '\0') {
		s->registering = false;
		return ANSWER("$3\r\nnew\r\n");
	}
	return loses ? ANSWER("$4\r\nlost\r\n") : ANSWER("$4\r\nkept\r\n");
}

/* Is it the word for the registration that nobody heard of? */
static void look_at(const char *request)
{
	const char *key = strstr(request, "\"new_key\":");

	if (key != NULL)
		(void)snprintf(script.new_key, sizeof(script.new_key), "%.42s", key + strlen("\"new_"));
	else if (script.new_key[0] != '\0' && strstr(request, script.new_key) != NULL &&
		 strstr(request, "\"method\":\"disconnect\"") != NULL &&
		 strstr(request, "\"session\":9007199254740991,") != NULL)
		atomic_store(&script.forgotten, true);
}

static const char *publish(const char *request)
{
	char id[FAKE_LOGIC_ID_BYTES];

	look_at(request);
	fake_logic_id(request, id);
	fake_logic_reply(&server, id,
			 logic_refuses != NULL && strstr(request, logic_refuses) != NULL ? "\"code\":500" : logic_says);
	atomic_fetch_add(&script.requests, 1);
	return ":1\r\n";
}

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;

	if (fake_redis_runs(argv, "lease"))
		return lease(s, argv);
	if (fake_redis_runs(argv, "instances"))
		return logic_says != NULL ? FAKE_LOGIC_ONE : FAKE_LOGIC_NOBODY;
	if (strcmp(argv[0], "PUBLISH") == 0)
		return publish(argv[2]);
	if (strcmp(argv[0], "SUBSCRIBE") == 0)
		atomic_store(&s->subscribed, true);
	if (strcmp(argv[0], "SUBSCRIBE") == 0 || strcmp(argv[0], "XREAD") == 0)
		return "";
	if (strcmp(argv[0], "HSET") == 0 || fake_redis_runs(argv, NULL))
		return ":1\r\n";
	return fake_redis_hello(argc, argv);
}

static int each_online(void *self, redis_client_each *each, void *arg)
{
	int rc;

	(void)self;
	atomic_fetch_add(&walks, 1);
	rc = walk(each, arg);
	atomic_fetch_add(&walked, 1);
	return rc;
}

static int sink(void *self, const struct wire_push *push)
{
	(void)self;
	(void)push;
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	logic_says = NULL;
	logic_refuses = NULL;
	atomic_store(&walks, 0);
	atomic_store(&walked, 0);
	atomic_store(&too_early, 0);
	fake_redis_start(&server, answer, &script);
	fake_redis_config(&server, &cfg);
	cfg.redis_lease = 300;
	cfg.logic_timeout = 10000; /* nothing is asked twice because the machine was busy */
	return 0;
}

static void start(int losses, int (*how)(redis_client_each *each, void *arg))
{
	const struct redis_client_options opt = {
		.member = {.cfg = &cfg, .server_id = "c", .addrs = ""}, .sink = sink, .each_online = each_online};

	walk = how;
	atomic_store(&script.to_lose, 1 + losses);
	assert_int_equal(redis_client_start(&opt, &client), 0);
	until(atomic_load(&script.subscribed));
}

static int tear_down(void **state)
{
	(void)state;
	redis_client_stop(&client);
	fake_redis_stop(&server);
	config_fini(&cfg);
	seam_reset();
	return 0;
}

/* So many more leases have been asked for: what came before has had its effect. */
static void wait_for_leases(int n)
{
	int before = atomic_load(&script.leases);

	until(atomic_load(&script.leases) >= before + n);
}

static int nobody(redis_client_each *each, void *arg)
{
	(void)each;
	(void)arg;
	return 0;
}

static void who_is_registered_again_says_so(void **state)
{
	(void)state;
	start(0, nobody);
	wait_for_leases(3);
	assert_int_equal(atomic_load(&script.registered), 0);
	atomic_store(&script.to_lose, 1);
	until(atomic_load(&script.registered) == 1);
	assert_int_equal(atomic_load(&walks), 1);
	/* Once is enough. */
	wait_for_leases(3);
	assert_int_equal(atomic_load(&script.registered), 1);
}

static int without_memory_twice(redis_client_each *each, void *arg)
{
	int n = atomic_load(&walks);

	if (n == 1)
		return -ENOMEM;
	if (n == 2) {
		seam_fail(SEAM_ALLOC, 0, UINT_MAX, ENOMEM);
		(void)each(arg, &(struct seat){.key = "k", .session_id = 1});
		seam_reset();
	} else {
		/* Both have had the time to do harm. */
		wait_for_leases(3);
		atomic_fetch_add(&too_early, atomic_load(&script.registered));
	}
	return 0;
}

static void who_left_some_out_begins_again(void **state)
{
	(void)state;
	start(1, without_memory_twice);
	until(atomic_load(&walked) == 3);
	assert_int_equal(atomic_load(&too_early), 0);
	until(atomic_load(&script.registered) == 1);
}

static int is_lost_meanwhile(redis_client_each *each, void *arg)
{
	(void)each;
	(void)arg;
	if (atomic_load(&walks) == 1)
		atomic_store(&script.to_lose, 1);
	wait_for_leases(4);
	atomic_fetch_add(&too_early, atomic_load(&script.registered));
	return 0;
}

static void what_is_lost_while_it_is_registered_is_registered_again(void **state)
{
	(void)state;
	start(1, is_lost_meanwhile);
	until(atomic_load(&walked) == 2);
	assert_int_equal(atomic_load(&too_early), 0);
	until(atomic_load(&script.registered) == 1);
}

#define MANY 6000
static atomic_int most_untold;

/* Without a logic at first, which is there once no more is added. */
static int many(redis_client_each *each, void *arg)
{
	for (int i = 0; i < MANY; i++) {
		char key[16];

		(void)snprintf(key, sizeof(key), "k%d", i);
		if (!each(arg, &(struct seat){.key = key, .session_id = 1}))
			break;
		if (counters_read(COUNT_UNSENT) > atomic_load(&most_untold))
			atomic_store(&most_untold, (int)counters_read(COUNT_UNSENT));
	}
	return 0;
}

/* What has no place in the queue would have to begin anew, and again: with a million connections for ever. */
static void who_registers_many_again_waits_until_logic_keeps_up(void **state)
{
	(void)state;
	cfg.redis_register_rate = 1000000;
	start(1, many);
	until(atomic_load(&most_untold) >= 4096);
	wait_for_leases(2);
	assert_int_equal(atomic_load(&most_untold), 4096);
	logic_says = "\"code\":0,\"message\":\"\"";
	until(atomic_load(&script.registered) == 1);
	assert_int_equal(atomic_load(&walks), 1);
}

static int one(redis_client_each *each, void *arg)
{
	(void)each(arg, &(struct seat){.key = "k", .session_id = 1});
	return 0;
}

/* In a house with much to do something always waits to be told. */
static void who_registers_again_does_not_wait_for_what_came_later(void **state)
{
	struct logic_client table;

	(void)state;
	logic_says = "\"code\":0,\"message\":\"\"";
	logic_refuses = "\"key\":";
	start(1, one);
	table = redis_client_table(client);
	until(atomic_load(&script.requests) >= 2);
	logic_client_disconnect(&table, &(struct seat){.key = "later", .session_id = 2});
	logic_refuses = "later";
	until(atomic_load(&script.registered) == 1);
}

static int connect_one(struct wire_session *session)
{
	const struct logic_client table = redis_client_table(client);
	const struct wire_connect request = {.token = (const uint8_t *)"t", .token_bytes = 1, .peer = "p"};

	return logic_client_connect(&table, &request, session);
}

static void who_comes_in_may_have_operations(void **state)
{
	struct wire_session session;

	(void)state;
	logic_says = "\"code\":0,\"message\":\"\",\"key\":\"k\",\"session\":7,\"accepts\":[1000,1001]";
	start(0, nobody);
	assert_int_equal(connect_one(&session), 0);
	assert_string_equal(session.key, "k");
	assert_int_equal(session.n_accepts, 2);
	assert_int_equal(session.accepts[1], 1001);
	free(session.accepts);
}

/* Who is not let in frees nothing. */
static void who_has_no_key_does_not_come_in(void **state)
{
	struct wire_session session;

	(void)state;
	logic_says = "\"code\":0,\"message\":\"\",\"session\":7,\"accepts\":[1000,1001]";
	start(0, nobody);
	assert_int_equal(connect_one(&session), -ERR_NO_LOGIC);
	assert_null(session.accepts);
}

static void who_was_perhaps_registered_is_forgotten(void **state)
{
	struct wire_session session;

	(void)state;
	logic_says = "\"code\":0,\"message\":\"\"";
	logic_refuses = "\"new_key\":"; /* Redis has not answered it */
	start(0, nobody);
	assert_int_equal(connect_one(&session), -ERR_NO_LOGIC);
	until(atomic_load(&script.forgotten));
}

/* It has refused: then nothing stands. */
static void who_is_refused_has_nothing_to_forget(void **state)
{
	struct wire_session session;

	(void)state;
	logic_says = "\"code\":403,\"message\":\"no\"";
	start(0, nobody);
	assert_int_equal(connect_one(&session), -ERR_REFUSED);
	wait_for_leases(2);
	assert_int_equal(atomic_load(&script.requests), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_is_registered_again_says_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_left_some_out_begins_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_lost_while_it_is_registered_is_registered_again, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_registers_again_does_not_wait_for_what_came_later, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_registers_many_again_waits_until_logic_keeps_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_comes_in_may_have_operations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_has_no_key_does_not_come_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_was_perhaps_registered_is_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_refused_has_nothing_to_forget, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("redis_client", tests, NULL, NULL);
}
