/* Tests of logic_client/redis_calls: asking logic. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/config/config.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_pipe.h"
#include "logic_client/redis_calls.h"
#include "tests/unit/fake_logic.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define ASKING 8

static struct script {
	atomic_int looks;  /* at the list of instances */
	atomic_bool away;  /* looks are refused */
	atomic_bool is_up; /* there is a logic, which says nothing in time ... */
	char first[FAKE_LOGIC_ID_BYTES];
	int requests;
	atomic_bool subscribed;
} script;

static struct fake_redis server;
static struct config cfg;
static struct redis_clock clock_;
static struct redis_pipe *pipe_;
static struct redis_calls *calls;
static atomic_int late;

/* ... but answers the first request when the third has come, and does so twice. The third is the second that is asked, since each
 * is asked once more. */
static const char *publish(struct script *s, const char *request)
{
	char id[FAKE_LOGIC_ID_BYTES];

	fake_logic_id(request, id);
	switch (++s->requests) {
	case 1:
		memcpy(s->first, id, sizeof(id));
		break;
	case 3:
		for (int i = 0; i < 2; i++)
			fake_logic_reply(&server, s->first, "\"code\":0,\"message\":\"\",\"key\":\"k\",\"session\":7");
		fake_logic_reply(&server, id, "\"code\":0,\"message\":\"\"");
		break;
	default:
		break;
	}
	return ":1\r\n";
}

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;

	if (strcmp(argv[0], "SUBSCRIBE") == 0) {
		atomic_store(&s->subscribed, true);
		return "*3\r\n$9\r\nsubscribe\r\n$13\r\ncomet:reply:c\r\n:1\r\n";
	}
	if (strcmp(argv[0], "PUBLISH") == 0)
		return publish(s, argv[2]);
	if (!fake_redis_runs(argv, "instances"))
		return fake_redis_hello(argc, argv);
	atomic_fetch_add(&s->looks, 1);
	if (atomic_load(&s->away))
		return "-ERR not now\r\n";
	return atomic_load(&s->is_up) ? FAKE_LOGIC_ONE : FAKE_LOGIC_NOBODY;
}

static void is_late(void *self, const struct wire_session *session)
{
	(void)self;
	if (strcmp(session->key, "k") == 0 && session->id == 7)
		atomic_fetch_add(&late, 1);
}

static int set_up(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	memset(&clock_, 0, sizeof(clock_));
	atomic_store(&late, 0);
	fake_redis_start(&server, answer, &script);
	fake_redis_config(&server, &cfg);
	cfg.logic_timeout = 300;
	pipe_ = fake_redis_pipe(&cfg);
	assert_int_equal(
		redis_calls_start(&cfg, "c", pipe_, &clock_, &(struct redis_calls_owner){.late = is_late}, &calls), 0);
	until(redis_clock_ms(&clock_) != 0 && atomic_load(&script.subscribed));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	redis_calls_stop(calls);
	redis_calls_free(&calls);
	redis_pipe_stop(&pipe_);
	fake_redis_stop(&server);
	config_fini(&cfg);
	return 0;
}

static void *ask(void *arg)
{
	struct wire_request request = {.method = WIRE_HEARTBEAT, .seat.key = "k"};
	struct wire_reply reply;

	*(int *)arg = redis_calls_ask(calls, &request, &reply);
	if (*(int *)arg == 0)
		wire_reply_fini(&reply);
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

static void who_was_let_in_too_late_is_told_of_once(void **state)
{
	int rc;

	(void)state;
	atomic_store(&script.is_up, true);
	(void)ask(&rc);
	assert_int_equal(rc, -ERR_NO_LOGIC);
	assert_int_equal(atomic_load(&late), 0);
	cfg.logic_timeout = 10000; /* this one is answered, however busy the machine is */
	(void)ask(&rc);
	assert_int_equal(rc, 0);
	/* Its reply came after both of the others. */
	assert_int_equal(atomic_load(&late), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(those_who_wait_for_logic_sleep, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_look_that_fails_is_repeated_while_somebody_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_was_let_in_too_late_is_told_of_once, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("redis_calls", tests, NULL, NULL);
}
