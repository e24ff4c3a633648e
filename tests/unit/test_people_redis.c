/* Tests of logic/people_redis: asking comets. SPDX-License-Identifier: MIT */
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

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/config/config.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_pipe.h"
#include "logic/people.h"
#include "tests/unit/fake_logic.h"
#include "tests/unit/fake_redis.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

static struct fake_redis server;
static struct config cfg;
static struct redis_clock clock_;
static struct redis_pipe *pipe_;
static struct people people;
static atomic_bool subscribed;
static atomic_uint questions;
static const char *_Atomic members; /* of each answer; NULL: comets are silent */

static const char *const comets[] = {"a", "b", "gone"};

/* "a" and "b" answer, "gone" is not there. */
static void say(const char *id, const char *comet)
{
	char text[512], message[640];

	(void)snprintf(text, sizeof(text), "{\"id\":\"%s\",\"server\":\"%s\",%s}", id, comet, atomic_load(&members));
	(void)snprintf(message, sizeof(message), "*3\r\n$7\r\nmessage\r\n$12\r\ncomet:page:l\r\n$%zu\r\n%s\r\n",
		       strlen(text), text);
	fake_redis_tell(&server, message);
}

static const char *answer(void *arg, int argc, char **argv)
{
	char id[FAKE_LOGIC_ID_BYTES];
	const char *comet;

	(void)arg;
	if (strcmp(argv[0], "SUBSCRIBE") == 0) {
		atomic_store(&subscribed, true);
		return "*3\r\n$9\r\nsubscribe\r\n$12\r\ncomet:page:l\r\n:1\r\n";
	}
	if (strcmp(argv[0], "PUBLISH") != 0)
		return fake_redis_hello(argc, argv);
	atomic_fetch_add(&questions, 1);
	comet = argv[1] + strlen("comet:who:");
	if (strcmp(comet, "gone") == 0)
		return ":0\r\n";
	fake_logic_id(argv[2], id);
	if (atomic_load(&members) != NULL) {
		say("another", comet); /* an answer that nobody waits for */
		say(id, comet);
		say(id, comet); /* and one that comes twice */
	}
	return ":1\r\n";
}

static int set_up(void **state)
{
	(void)state;
	memset(&clock_, 0, sizeof(clock_));
	atomic_store(&subscribed, false);
	atomic_store(&questions, 0);
	atomic_store(&members, NULL);
	fake_redis_start(&server, answer, NULL);
	fake_redis_config(&server, &cfg);
	cfg.logic_timeout = 300;
	pipe_ = fake_redis_pipe(&cfg);
	redis_clock_set(&clock_, 1700000000000);
	assert_int_equal(people_redis_new(&cfg, pipe_, &clock_, "l", &people), 0);
	until(atomic_load(&subscribed));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	people_redis_free(&people);
	redis_pipe_stop(&pipe_);
	fake_redis_stop(&server);
	config_fini(&cfg);
	return 0;
}

static int ask(size_t n, struct who_page *page, bool silent[3])
{
	return people_list(&people, comets, n, &(struct who_query){.after = "", .limit = 2}, page, silent);
}

static void all_answers_are_one_page(void **state)
{
	struct who_page page;
	bool silent[3];

	(void)state;
	atomic_store(&members, "\"connections\":[{\"key\":\"y\"},{\"key\":\"x\"}]");
	assert_int_equal(ask(2, &page, silent), 0);
	assert_false(silent[0] || silent[1]);
	assert_true(page.more);
	assert_int_equal(json_array_size(page.connections), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(page.connections, 1), "key")), "x");
	json_decref(page.connections);
}

static void comet_that_nobody_hears_is_silent_at_once(void **state)
{
	int64_t began = clock_now_ns();
	struct who_page page;
	bool silent[3];

	(void)state;
	cfg.logic_timeout = 60000;
	atomic_store(&members, "\"connections\":[{\"key\":\"x\"}]");
	assert_int_equal(ask(3, &page, silent), 0);
	assert_true(!silent[0] && !silent[1] && silent[2]);
	assert_true(clock_now_ns() - began < 30 * CLOCK_SEC);
	json_decref(page.connections);
}

static void comets_that_say_nothing_are_silent_in_time(void **state)
{
	struct who_page page;
	bool silent[3];

	(void)state;
	assert_int_equal(ask(2, &page, silent), 0);
	assert_true(silent[0] && silent[1]);
	assert_int_equal(json_array_size(page.connections), 0);
	json_decref(page.connections);
}

static void comet_without_memory_fails_the_call(void **state)
{
	struct who_page page;
	bool silent[3];

	(void)state;
	atomic_store(&members, "\"failed\":true,\"connections\":[]");
	assert_int_equal(ask(2, &page, silent), -ENOMEM);
	assert_null(page.connections);
}

static void answer_that_cannot_be_read_is_none(void **state)
{
	struct who_page page;
	bool silent[3];

	(void)state;
	atomic_store(&members, "\"connections\":5");
	assert_int_equal(ask(1, &page, silent), 0);
	assert_true(silent[0]);
	json_decref(page.connections);
}

static void without_redis_clock_nothing_is_asked(void **state)
{
	struct who_page page;
	bool silent[3];

	(void)state;
	memset(&clock_, 0, sizeof(clock_));
	assert_int_equal(ask(2, &page, silent), -ERR_NO_LOGIC);
	assert_int_equal(atomic_load(&questions), 0);
}

static void *ask_one(void *arg)
{
	struct who_page page;
	bool silent[3];

	(void)arg;
	assert_int_equal(ask(1, &page, silent), 0);
	json_decref(page.connections);
	return NULL;
}

static void ninth_is_refused_and_a_stop_wakes_the_eight(void **state)
{
	pthread_t threads[PEOPLE_AT_ONCE];
	struct who_page page;
	bool silent[3];

	(void)state;
	cfg.logic_timeout = 60000;
	for (int i = 0; i < PEOPLE_AT_ONCE; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_one, NULL), 0);
	until(atomic_load(&questions) == PEOPLE_AT_ONCE);
	assert_int_equal(ask(1, &page, silent), -EBUSY);
	people_stop(&people);
	for (int i = 0; i < PEOPLE_AT_ONCE; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_answers_are_one_page, set_up, tear_down),
		cmocka_unit_test_setup_teardown(comet_that_nobody_hears_is_silent_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(comets_that_say_nothing_are_silent_in_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(comet_without_memory_fails_the_call, set_up, tear_down),
		cmocka_unit_test_setup_teardown(answer_that_cannot_be_read_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_redis_clock_nothing_is_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ninth_is_refused_and_a_stop_wakes_the_eight, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
