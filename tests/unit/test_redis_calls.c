/* Tests of logic_client/redis_calls: asking logic, and telling it. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/err.h"
#include "common/redis_clock.h"
#include "common/redis_pipe.h"
#include "logic_client/redis_calls.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define ASKING 8

static struct script {
	atomic_int looks; /* at the list of instances, which is empty */
	atomic_bool away; /* looks are refused */
} script;

static struct fake_redis server;
static struct config cfg;
static struct redis_clock clock_;
static struct redis_pipe *pipe_;
static struct redis_calls *calls;

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;

	if (strcmp(argv[0], "SUBSCRIBE") == 0)
		return "*3\r\n$9\r\nsubscribe\r\n$13\r\ncomet:reply:c\r\n:1\r\n";
	if (strcmp(argv[0], "EVAL") != 0)
		return fake_redis_hello(argc, argv);
	atomic_fetch_add(&s->looks, 1);
	return atomic_load(&s->away) ? "-ERR not now\r\n" : "*1\r\n$13\r\n1700000000000\r\n";
}

static int set_up(void **state)
{
	struct redis_options redis;
	char addr[64];

	(void)state;
	memset(&script, 0, sizeof(script));
	memset(&clock_, 0, sizeof(clock_));
	fake_redis_start(&server, answer, &script);
	assert_int_equal(config_init(&cfg), 0);
	(void)snprintf(addr, sizeof(addr), "redis.addr=%s", server.addr);
	assert_int_equal(config_flag(&cfg, addr, stderr), 0);
	cfg.logic_timeout = 300;
	redis = redis_options_of(&cfg, "test");
	assert_int_equal(redis_pipe_start(&redis, &pipe_), 0);
	assert_int_equal(redis_calls_start(&cfg, "c", pipe_, &clock_, &calls), 0);
	until(redis_clock_ms(&clock_) != 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	redis_calls_stop(&calls);
	redis_pipe_stop(&pipe_);
	fake_redis_stop(&server);
	config_fini(&cfg);
	return 0;
}

static void *ask(void *arg)
{
	struct wire_request request = {.method = WIRE_HEARTBEAT, .key = "k"};
	struct wire_reply reply;

	*(int *)arg = redis_calls_ask(calls, &request, &reply);
	return NULL;
}

/* How often threads of this process have gone to sleep. */
static long sleeps(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_nvcsw;
}

static void ask_at_once(void)
{
	pthread_t threads[ASKING];
	int rcs[ASKING];

	for (int i = 0; i < ASKING; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &rcs[i]), 0);
	for (int i = 0; i < ASKING; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(rcs[i], -ERR_NO_LOGIC);
	}
}

/* A look is every 20 ms, and wakes each once. */
static void those_who_wait_for_logic_sleep(void **state)
{
	long before = sleeps();
	int looks = atomic_load(&script.looks);

	(void)state;
	ask_at_once();
	assert_in_range(atomic_load(&script.looks) - looks, 1, 100);
	assert_in_range(sleeps() - before, 0, 3000);
}

/* Else a logic that comes up would be found only when the looker looks anyway, a third of a lease later. */
static void a_look_that_fails_is_repeated_while_somebody_waits(void **state)
{
	int looks = atomic_load(&script.looks);

	(void)state;
	atomic_store(&script.away, true);
	ask_at_once();
	assert_in_range(atomic_load(&script.looks) - looks, 2, 100);
}

/* A comet of a million connections is without logic for some minutes. */
static void heartbeats_leave_room_for_disconnects(void **state)
{
	int rc;

	(void)state;
	while ((rc = redis_calls_tell(calls, WIRE_HEARTBEAT, "k", 1, 0)) == 0)
		;
	assert_int_equal(rc, -ENOBUFS);
	for (int i = 0; i < 100; i++)
		assert_int_equal(redis_calls_tell(calls, WIRE_DISCONNECT, "k", 1, 0), 0);
	assert_int_equal(redis_calls_tell(calls, WIRE_HEARTBEAT, "k", 1, 0), -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(those_who_wait_for_logic_sleep, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_look_that_fails_is_repeated_while_somebody_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(heartbeats_leave_room_for_disconnects, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("redis_calls", tests, NULL, NULL);
}
