/* Tests of logic/announce. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "logic/announce.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define LEASE_MS 300

static struct script {
	atomic_bool is_away; /* Redis does not answer scripts */
	atomic_int announced, gone;
	atomic_bool names_it; /* so far every time */
} script;

static struct fake_redis server;
static struct config cfg;
static struct redis_clock clock_;
static struct redis_pipe *pipe_;
static struct announce *announce;
static bool stopped;

static const char *answer(void *arg, int argc, char **argv)
{
	struct script *s = arg;

	if (strncmp(argv[0], "EVAL", 4) == 0) {
		bool names_it = false;

		if (atomic_load(&s->is_away))
			return NULL;
		for (int i = 2; i < argc; i++)
			names_it |= strcmp(argv[i], "logic-1") == 0;
		if (!names_it)
			atomic_store(&s->names_it, false);
		atomic_fetch_add(&s->announced, 1);
		return "*2\r\n$2\r\nok\r\n$13\r\n1700000000000\r\n";
	}
	if (strcmp(argv[0], "ZREM") == 0) {
		assert_string_equal(argv[1], "comet:logics");
		assert_string_equal(argv[2], "logic-1");
		atomic_fetch_add(&s->gone, 1);
		return ":1\r\n";
	}
	return fake_redis_hello(argc, argv);
}

static int set_up(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	atomic_store(&script.names_it, true);
	memset(&clock_, 0, sizeof(clock_));
	stopped = false;
	fake_redis_start(&server, answer, &script);
	fake_redis_config(&server, &cfg);
	cfg.redis_lease = LEASE_MS;
	pipe_ = fake_redis_pipe(&cfg);
	return announce_start(&cfg, pipe_, "logic-1", &clock_, "house", &announce);
}

static void stop(void)
{
	announce_stop(announce);
	stopped = true;
}

static int tear_down(void **state)
{
	(void)state;
	if (!stopped)
		announce_stop(announce);
	announce_free(&announce);
	redis_pipe_stop(&pipe_);
	fake_redis_stop(&server);
	config_fini(&cfg);
	seam_reset();
	return 0;
}

static void who_hears_nothing_is_not_announced(void **state)
{
	(void)state;
	assert_false(announce_stands(announce));
	stop();
	assert_int_equal(atomic_load(&script.announced), 0);
	assert_int_equal(atomic_load(&script.gone), 0);
}

static void who_hears_is_announced_again_and_again_and_taken_out_at_the_end(void **state)
{
	(void)state;
	announce_set_hearing(announce, true);
	until(atomic_load(&script.announced) >= 3);
	assert_true(announce_stands(announce));
	assert_true(redis_clock_ms(&clock_) != 0);
	assert_true(atomic_load(&script.names_it));
	stop();
	assert_int_equal(atomic_load(&script.gone), 1);
}

static void who_hears_no_more_stands_no_more(void **state)
{
	(void)state;
	announce_set_hearing(announce, true);
	until(announce_stands(announce));
	announce_set_hearing(announce, false);
	assert_false(announce_stands(announce));
	announce_set_hearing(announce, true);
	until(announce_stands(announce));
	stop();
}

/* It may hear requests again before it can say so. */
static void what_redis_did_not_take_does_not_stand(void **state)
{
	(void)state;
	cfg.redis_timeout = 50;
	atomic_store(&script.is_away, true);
	announce_set_hearing(announce, true);
	for (int i = 0; i < 100; i++) {
		const struct timespec moment = {.tv_nsec = 1000000};

		assert_false(announce_stands(announce));
		(void)nanosleep(&moment, NULL);
	}
	atomic_store(&script.is_away, false);
	until(announce_stands(announce));
	stop();
}

/* Requests are heard for a moment longer, by those who had read the list. */
static void after_the_stop_it_is_not_announced_again(void **state)
{
	int announced;

	(void)state;
	announce_set_hearing(announce, true);
	until(announce_stands(announce));
	stop();
	announced = atomic_load(&script.announced);
	announce_set_hearing(announce, false);
	announce_set_hearing(announce, true);
	assert_int_equal(atomic_load(&script.announced), announced);
}

static void without_a_thread_nothing_is_left(void **state)
{
	struct announce *other;

	(void)state;
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(announce_start(&cfg, pipe_, "logic-2", &clock_, "house", &other), -EAGAIN);
	seam_reset();
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(announce_start(&cfg, pipe_, "logic-2", &clock_, "house", &other), -ENOMEM);
	seam_reset();
	stop();
}

#define announce_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		announce_test(who_hears_nothing_is_not_announced),
		announce_test(who_hears_is_announced_again_and_again_and_taken_out_at_the_end),
		announce_test(who_hears_no_more_stands_no_more),
		announce_test(what_redis_did_not_take_does_not_stand),
		announce_test(after_the_stop_it_is_not_announced_again),
		announce_test(without_a_thread_nothing_is_left),
	};

	return cmocka_run_group_tests_name("announce", tests, NULL, NULL);
}
